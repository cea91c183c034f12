# bash completion of pyxl: pyxl itself says what may follow.
_pyxl() {
    local kind value help
    COMPREPLY=()
    while IFS=$'\t' read -r kind value help; do
        case $kind in
            word) COMPREPLY+=("$value") ;;
            path) COMPREPLY+=("$value"); compopt -o filenames ;;
            part) COMPREPLY+=("$value"); compopt -o nospace ;;
            files) compopt -o default ;;
        esac
    done < <(_PYXL_COMPLETE=bash COMP_LINE=$COMP_LINE COMP_POINT=$COMP_POINT COMP_WORDBREAKS=$COMP_WORDBREAKS \
        "$1" 2>/dev/null)
}
complete -F _pyxl pyxl
