# fish completion of pyxl: pyxl itself says what may follow.
function __pyxl_complete
    set -l before (commandline -opc)
    set -l last (commandline -ct)
    for line in (_PYXL_COMPLETE=fish $before[1] $before[2..] "$last" 2>/dev/null)
        set -l parts (string split \t -- $line)
        if test $parts[1] = files
            __fish_complete_path $last
        else
            printf '%s\t%s\n' $parts[2] $parts[3]
        end
    end
end
complete -c pyxl -f -a '(__pyxl_complete)'
