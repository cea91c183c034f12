# Runs in a Windows guest with Xen's PV drivers, and sets its clock when it has come back from a checkpoint.
#
# As SYSTEM, at the start of Windows:
#   schtasks /Create /RU SYSTEM /SC ONSTART /TN set-clock /TR "powershell -ExecutionPolicy Bypass -File C:\set-clock.ps1"
#
# pyxl writes the time of the restore, in seconds since 1970, UTC, to data/restored-at in the guest's part of xenstore.
$Every = 5
$base = @("XenProjectXenStoreBase", "CitrixXenStoreBase") |
    ForEach-Object { Get-WmiObject -Namespace root\wmi -Class $_ -ErrorAction SilentlyContinue } | Select-Object -First 1
if (-not $base) { Write-Error "set-clock: there are no PV drivers of Xen here"; exit 1 }
$id = $base.AddSession("set-clock").SessionId
$kind = $base.__CLASS -replace "Base$", "Session"
$session = Get-WmiObject -Namespace root\wmi -Query "select * from $kind where SessionId=$id"

function Get-Restored { try { [long]$session.GetValue("data/restored-at").value } catch { 0 } }

$last = Get-Restored
while ($true) {
    Start-Sleep -Seconds $Every
    $now = Get-Restored
    if ($now -gt $last) {
        $last = $now
        # At most $Every seconds late; the time service does the rest, where it has a server.
        Set-Date ([DateTimeOffset]::FromUnixTimeSeconds($now).LocalDateTime)
        w32tm /resync /nowait | Out-Null
    }
}
