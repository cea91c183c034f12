# reverts.sh ROUNDS CHECKPOINT: in turns, what people write around xl and `pyxl revert`; a line each: tool, seconds.
set -e
place=/var/lib/pyxl-lab
sed 's/"disk"/"script"/; s/disk-hda.raw/script-hda.qcow2/; s/disk-hdb/script-hdb/; s/format=raw/format=qcow2/' \
    /etc/xen/lab/disk.cfg > /root/script.cfg
overlays() {
    rm -f $place/script-hda.qcow2 $place/script-hdb.qcow2
    qemu-img create -q -f qcow2 -b $place/disk-hda.raw -F raw $place/script-hda.qcow2
    qemu-img create -q -f qcow2 -b $place/disk-hdb.qcow2 -F qcow2 $place/script-hdb.qcow2
}
overlays
xl restore /root/script.cfg "$2" > /dev/null 2>&1
pyxl clone "$2" own > /dev/null
for round in $(seq "$1"); do
    begun=$(date +%s.%N)
    xl destroy script; overlays; xl restore /root/script.cfg "$2" > /dev/null 2>&1
    echo "xl $begun $(date +%s.%N)"
    begun=$(date +%s.%N)
    pyxl revert own > /dev/null
    echo "pyxl $begun $(date +%s.%N)"
done
xl destroy script
rm -f $place/script-hda.qcow2 $place/script-hdb.qcow2 /root/script.cfg
pyxl clone --discard own > /dev/null
