
# ./dev: its own commands, and the engine's after `./dev engine`.
complete --command dev --no-files --condition 'test (count (commandline -opc)) -eq 1' \
    --arguments 'bench completion docs engine lint lock setup test which'
complete --command dev --no-files --condition 'string match -q engine -- (commandline -opc)[2]' \
    --arguments '(__engine_complete 2)'
