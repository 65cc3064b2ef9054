
# ./dev: its own commands, and the engine's after `./dev engine`.
_engine_dev() {
    if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} == engine ]]; then
        _engine_complete 2
    elif ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "bench completion docs engine lint lock setup test which" -- "$2")
    else
        compopt -o default
    fi
}
complete -F _engine_dev ./dev
