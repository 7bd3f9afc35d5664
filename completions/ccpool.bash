_ccpool() {
    local IFS=$' \t\n'
    local args cur prev cmd opts arg
    args=("${COMP_WORDS[@]}")
    cur="${COMP_WORDS[COMP_CWORD]}"
    prev="${COMP_WORDS[COMP_CWORD-1]}"
    opts="-h --help -V --version --completion"

    case "$prev" in
        --completion)
            COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur"))
            return 0
            ;;
    esac

    args=("${args[@]:1}")
    for arg in "${args[@]}"; do
        case "$arg" in
            scan)
                cmd="scan"
                opts="$opts -h --help --input-list -i --exclude -4 --ipv4 -6 --ipv6 --all-ips --list-targets --i-am-authorized -p --ports --top --exclude-ports --order --seed --timeout --retries --host-timeout --concurrency --max-rate --engine --banner --open --reason --format --resume --check -V --version -q --quiet -v --verbose -o --output --progress --color --stats --completion --backend -w --workers --chunk"
                break
                ;;
            primes)
                cmd="primes"
                opts="$opts -h --help -V --version -q --quiet -v --verbose -o --output --progress --color --stats --completion --backend -w --workers --chunk -i --input --method --format --primes-only --count --next --check --unordered"
                break
                ;;
            compare)
                cmd="compare"
                opts="$opts -h --help -V --version -q --quiet -v --verbose -o --output --progress --color --stats --completion -w --workers --runs --warmup --vs --format --html --json --md --csv --svg"
                break
                ;;
        esac
    done

    case "$cmd" in
        '')
            COMPREPLY=($(compgen -W "scan primes compare" -- "$cur"))
            ;;
        'scan')
            case "$prev" in
                --input-list|-i)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --exclude)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                -p|--ports)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --top)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --exclude-ports)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --order)
                    COMPREPLY=($(compgen -W "random serial" -- "$cur"))
                    return 0
                    ;;
                --seed)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --timeout)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --retries)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --host-timeout)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --concurrency)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --max-rate)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --engine)
                    COMPREPLY=($(compgen -W "poll connect" -- "$cur"))
                    return 0
                    ;;
                --banner)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --format)
                    COMPREPLY=($(compgen -W "text jsonl grep xml csv list" -- "$cur"))
                    return 0
                    ;;
                --resume)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                -o|--output)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --progress)
                    COMPREPLY=($(compgen -W "auto always never" -- "$cur"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "$cur"))
                    return 0
                    ;;
                --completion)
                    COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur"))
                    return 0
                    ;;
                --backend)
                    COMPREPLY=($(compgen -W "serial threads processes" -- "$cur"))
                    return 0
                    ;;
                -w|--workers)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --chunk)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
            esac

            ;;
        'primes')
            case "$prev" in
                -o|--output)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --progress)
                    COMPREPLY=($(compgen -W "auto always never" -- "$cur"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "$cur"))
                    return 0
                    ;;
                --completion)
                    COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur"))
                    return 0
                    ;;
                --backend)
                    COMPREPLY=($(compgen -W "serial threads processes" -- "$cur"))
                    return 0
                    ;;
                -w|--workers)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --chunk)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                -i|--input)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --method)
                    COMPREPLY=($(compgen -W "auto trial mr c sieve" -- "$cur"))
                    return 0
                    ;;
                --format)
                    COMPREPLY=($(compgen -W "text jsonl csv" -- "$cur"))
                    return 0
                    ;;
            esac

            ;;
        'compare')
            case "$prev" in
                -o|--output)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --progress)
                    COMPREPLY=($(compgen -W "auto always never" -- "$cur"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "$cur"))
                    return 0
                    ;;
                --completion)
                    COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur"))
                    return 0
                    ;;
                -w|--workers)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --runs)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --warmup)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --vs)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --format)
                    COMPREPLY=($(compgen -W "text json md csv" -- "$cur"))
                    return 0
                    ;;
                --html)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --json)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --md)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --csv)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --svg)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
            esac

            ;;
    esac

    if [[ "$cur" = -* ]]; then
        COMPREPLY=($(compgen -W "$opts" -- "$cur"))
    fi
}

complete -F _ccpool -o bashdefault -o default ccpool
