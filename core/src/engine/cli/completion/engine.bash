# Completion of engine's commands, flags, containers, images and plugins in bash 4.3 and later.
# To try it: source <(engine completion bash)

# _engine_complete N: complete a line whose first N words call the engine.
_engine_complete() {
    local first=$1 rest=$COMP_LINE word words=() i
    # Readline takes "--storage=x" and "web:/srv" for three words each; what has no space between it is one.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i)) && [[ -n $word && $rest == "$word"* ]]; then
            words[-1]+=$word
        else
            rest=${rest#"${rest%%[![:blank:]]*}"}
            words+=("$word")
        fi
        rest=${rest#"$word"}
    done
    ((${#words[@]} > first)) || return
    words[0]=${words[0]/#~\//$HOME/}

    local answer lines current=${words[-1]}
    answer=$("${words[@]:0:first}" __complete "${words[@]:first}" 2>/dev/null) || return
    mapfile -t lines <<<"$answer"

    # What readline replaces is what follows the last = or :, if those break words.
    local breaks=${COMP_WORDBREAKS//[^=:]/} typed=$current
    [[ -z $breaks ]] || typed=${current##*[$breaks]}
    local before=${current%"$typed"}
    COMPREPLY=()
    for word in "${lines[@]:1}"; do
        word=${word%%$'\t'*}
        [[ $word != "$current"* ]] || COMPREPLY+=("${word#"$before"}")
    done
    case ${lines[0]} in *nospace*) compopt -o nospace ;; esac
    case ${lines[0]} in
        *files*) _engine_paths -f "$typed" ;;
        *directories*) _engine_paths -d "$typed" ;;
    esac
}

_engine_paths() {
    local path
    compopt -o filenames
    while IFS= read -r path; do COMPREPLY+=("$path"); done < <(compgen "$1" -- "$2")
}

_engine() { _engine_complete 1; }
complete -F _engine engine
