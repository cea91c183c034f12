#!/bin/sh
# Runs in a Linux guest, and sets its clock when it has come back from a checkpoint: to the RTC, which Xen keeps right.
#
# With Xen's clock (`xen` in /sys/devices/system/clocksource/clocksource0/current_clocksource) the kernel does so by
# itself, and this script has nothing to do. With xenstore-utils and Xen's drivers it is told; else it looks at the RTC
# every ten seconds, which has to be in UTC.
set -u

set_clock() {
    hwclock -s ${1:-} && echo "set-clock: the clock was set, as this guest has come back" >&2
}

if [ -e /dev/xen/xenbus ] && command -v xenstore-watch > /dev/null; then
    xenstore-watch data/restored-at | while read -r _; do
        # It fires once when it is set up.
        [ -n "$(xenstore-read data/restored-at 2> /dev/null)" ] && set_clock
    done
else
    while sleep "${EVERY:-10}"; do
        behind=$(($(cat /sys/class/rtc/rtc0/since_epoch) - $(date +%s)))
        [ "$behind" -gt 2 ] && set_clock -u
    done
fi
