#!/bin/sh
# A program that copies disks for pyxl, see pyxl/disks/README.md. /root/hook-does says which of its copies fails or hangs,
# by the number of the call: "2 fails", "1 hangs"; all others are made.
set -eu
case $1 in
target) echo "$(dirname "$2")/$(basename "$2").$5" ;;
make)
    number=$(($(cat /root/hook-calls) + 1))
    echo $number > /root/hook-calls
    case "$(cat /root/hook-does)" in
    "$number fails") echo "the array has no room" >&2; exit 1 ;;
    "$number hangs") touch /root/hook-hangs; sleep 20 ;;
    esac
    cp --reflink=always --no-clobber "$2" "$4"
    sync "$4" ;;
remove) rm -f "$2" ;;
rename) mv --no-clobber "$2" "$3" ;;
esac
