#compdef engine
# Completion of engine's commands, flags, containers, images and plugins in zsh.
# To try it, after compinit: source <(engine completion zsh)

# _engine_complete N: complete a line whose first N words call the engine.
_engine_complete() {
    local -a lines described options
    local marks line word first=$1 ret=1
    ((CURRENT > first)) || return 1
    words[1]=${words[1]/#\~\//$HOME/}
    lines=("${(@f)$("${(@Q)words[1,first]}" __complete "${(@Q)words[first+1,CURRENT]}" 2>/dev/null)}")
    marks=$lines[1]
    for line in "${(@)lines[2,-1]}"; do
        word=${line%%$'\t'*}
        described+=("${word//:/\\:}:${line#*$'\t'}")
    done
    [[ $marks != *nospace* ]] || options=(-S '')
    (($#described == 0)) || _describe 'engine' described "${options[@]}" && ret=0
    [[ $PREFIX != --*=* ]] || compset -P '*='
    case $marks in
        *files*) _files && ret=0 ;;
        *directories*) _files -/ && ret=0 ;;
    esac
    return ret
}

_engine() { _engine_complete 1; }

if [[ $funcstack[1] == _engine ]]; then
    _engine "$@"
else
    compdef _engine engine
fi
