# Completion of engine's commands, flags, containers, images and plugins in fish 3 and later.
# To try it: engine completion fish | source

# __engine_complete N: complete a line whose first N words call the engine.
function __engine_complete --argument-names first
    set -l words (commandline --tokenize --current-process --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l arguments
    if test (count $words) -gt $first
        set arguments $words[(math $first + 1)..]
    end
    set -l lines ($words[1..$first] __complete $arguments "$current" 2>/dev/null)
    or return
    printf '%s\n' $lines[2..]
    set -l before (string match --regex -- '^--[^=]*=' $current)
    set -l path (string replace -- "$before" '' $current)
    switch "$lines[1]"
        case '*files*'
            printf "$before%s\n" (__fish_complete_path $path)
        case '*directories*'
            printf "$before%s\n" (__fish_complete_directories $path '')
    end
end

complete --command engine --no-files --arguments '(__engine_complete 1)'
