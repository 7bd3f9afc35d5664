function __fish_ccpool_print_command
    set -l cmdline (commandline -poc)
    set -l cmd
    set -e cmdline[1]
    for arg in $cmdline
        switch $arg
            case scan
                set cmd $cmd scan
                break
            case primes
                set cmd $cmd primes
                break
            case compare
                set cmd $cmd compare
                break
        end
    end
    echo "$cmd"
end

function __fish_ccpool_using_command
    test (__fish_ccpool_print_command) = "$argv"
    and return 0
    or return 1
end

function __fish_ccpool_seen_command
    string match -q "$argv*" (__fish_ccpool_print_command)
    and return 0
    or return 1
end

complete -c ccpool -n '__fish_ccpool_using_command' -xa 'scan' -d 'Find open TCP ports'
complete -c ccpool -n '__fish_ccpool_using_command' -xa 'primes' -d 'Tell which numbers are prime'
complete -c ccpool -n '__fish_ccpool_using_command' -xa 'compare' -d 'Run the same work serially, on threads and on processes'
complete -c ccpool -s h -l help -d 'Show this help message and exit'
complete -c ccpool -s V -l version -d 'Print the version and exit'
complete -c ccpool -l completion -xa 'bash zsh fish' -d 'Print completions for a shell and exit'

complete -c ccpool -n '__fish_ccpool_seen_command scan' -s h -l help -d 'Show this help message and exit'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l input-list -s i -r -d 'Read targets from a file too, - is standard input (also -iL)'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l exclude -r -d 'Leave out these targets, with commas between them'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -s 4 -l ipv4 -d 'Use IPv4 only'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -s 6 -l ipv6 -d 'Use IPv6 only'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l all-ips -d 'Scan all addresses of a name, not only the first'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l list-targets -d 'Only list the addresses that would be scanned'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l i-am-authorized -d 'Allow more than 65536 public addresses'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -s p -l ports -r -d 'Ports, ranges, services; - is all of them (1-1024)'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l top -r -d 'The ports that are met most often'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l exclude-ports -r -d 'Leave out these ports'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l order -xa 'random serial' -d 'In which order to ask the ports of a host'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l seed -r -d 'Of the random order'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l timeout -r -d 'How long to wait for an answer: 1s, 500ms'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l retries -r -d 'How often to try again where no answer came'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l host-timeout -r -d 'Give up a host after this time'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l concurrency -r -d 'Connects in flight at most, in all workers'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l max-rate -r -d 'Connects a second at most'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l engine -xa 'poll connect' -d 'A poll loop in each worker, or one connect in each task'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l banner -r -d 'Read what services say first, 256 bytes at most'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l open -d 'Show open ports only'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l reason -d 'Show why a port is said to be so'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l format -xa 'text jsonl grep xml csv list' -d 'How to write the results'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l resume -r -d 'Keep what is known in a file, and go on from there'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l check -d 'Exit with 1 unless every port is open'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -s V -l version -d 'Print the version and exit'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -s q -l quiet -d 'Print no notices and no warnings to standard error'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -s v -l verbose -d 'Print to standard error what is done and how'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -s o -l output -r -d 'Write the results to a file; - is standard output'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l progress -xa 'auto always never' -d 'Show on standard error how far the work is'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l color -xa 'auto always never' -d 'Colour the output'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l stats -d 'Print statistics to standard error in the end'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l completion -xa 'bash zsh fish' -d 'Print completions for a shell and exit'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l backend -xa 'serial threads processes' -d 'What runs the tasks'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -s w -l workers -r -d 'How many workers (serial: always one)'
complete -c ccpool -n '__fish_ccpool_seen_command scan' -l chunk -r -d 'Ports in a task (poll), or tasks that travel to a worker at once (connect)'

complete -c ccpool -n '__fish_ccpool_seen_command primes' -s h -l help -d 'Show this help message and exit'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -s V -l version -d 'Print the version and exit'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -s q -l quiet -d 'Print no notices and no warnings to standard error'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -s v -l verbose -d 'Print to standard error what is done and how'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -s o -l output -r -d 'Write the results to a file; - is standard output'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l progress -xa 'auto always never' -d 'Show on standard error how far the work is'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l color -xa 'auto always never' -d 'Colour the output'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l stats -d 'Print statistics to standard error in the end'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l completion -xa 'bash zsh fish' -d 'Print completions for a shell and exit'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l backend -xa 'serial threads processes' -d 'What runs the tasks'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -s w -l workers -r -d 'How many workers (serial: always one)'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l chunk -r -d 'How many numbers travel to a worker at once'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -s i -l input -r -d 'Read numbers from a file, too; - is standard input'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l method -xa 'auto trial mr c sieve' -d 'How to test: trial division, Miller-Rabin in Lua or in C, a sieve for ranges; auto: C, and a sieve for ranges'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l format -xa 'text jsonl csv' -d 'How to write the results'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l primes-only -d 'Write the prime numbers only'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l count -d 'Write only how many numbers are prime'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l next -d 'Write the smallest prime above each number'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l check -d 'Exit with 1 unless every number is prime'
complete -c ccpool -n '__fish_ccpool_seen_command primes' -l unordered -d 'Write results as they come, not in the order of the input'

complete -c ccpool -n '__fish_ccpool_seen_command compare' -s h -l help -d 'Show this help message and exit'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -s V -l version -d 'Print the version and exit'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -s q -l quiet -d 'Print no notices and no warnings to standard error'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -s v -l verbose -d 'Print to standard error what is done and how'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -s o -l output -r -d 'Write the results to a file; - is standard output'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l progress -xa 'auto always never' -d 'Show on standard error how far the work is'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l color -xa 'auto always never' -d 'Colour the output'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l stats -d 'Print statistics to standard error in the end'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l completion -xa 'bash zsh fish' -d 'Print completions for a shell and exit'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -s w -l workers -r -d 'Numbers of workers, with commas between them'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l runs -r -d 'How many rounds count; the median is shown'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l warmup -r -d 'How many rounds run before them'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l vs -r -d 'Also run python, nmap, factor, where they are installed'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l format -xa 'text json md csv' -d 'How to write the results on standard output'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l html -r -d 'Write a report with plots: one file of HTML'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l json -r -d 'Write JSON, in hyperfine\'s form'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l md -r -d 'Write Markdown'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l csv -r -d 'Write comma-separated values'
complete -c ccpool -n '__fish_ccpool_seen_command compare' -l svg -r -d 'Write the plots of speedup as a picture'
