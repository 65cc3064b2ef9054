
# ./dev: its own commands, and the engine's after `./dev engine`.
_engine_dev() {
    if ((CURRENT > 2)) && [[ $words[2] == engine ]]; then
        _engine_complete 2
    elif ((CURRENT == 2)); then
        compadd bench completion docs engine lint lock setup test which
    else
        _files
    fi
}
compdef _engine_dev dev
