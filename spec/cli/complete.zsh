# Prints what zsh offers to complete each line with: one line of sorted words for each.
# The first argument says how the completions are found: `source` or `fpath`.
#
# Completion works at a prompt only, so a shell runs in a pseudo-terminal; there Tab writes
# the matches into a file instead of showing them.

zmodload zsh/zpty
how=$1
shift
folder=$(mktemp -d)
trap 'rm -rf $folder' EXIT
found=$folder/found

cat >$folder/.zshrc <<END
if [[ $how == fpath ]]; then
  fpath=($PWD/completions \$fpath)
fi
autoload -Uz compinit
compinit -u -D
if [[ $how == source ]]; then
  source <(bin/ccpool --completion zsh)
fi
compadd() {
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
    builtin compadd "\$@"
    return
  fi
  local -a hits
  builtin compadd -A hits "\$@"
  print -rl -- \$hits >>$found
  builtin compadd "\$@"
}
probe() {
  _main_complete
  compstate[insert]= compstate[list]=
  print DONE >/dev/tty
}
zle -C probe complete-word probe
bindkey '^I' probe
zle-line-init() {
  print READY
}
zle -N zle-line-init
END

# Reads what the shell shows up to a word that it prints.
await() {
  local line=
  until [[ $line == *$1* ]]; do
    zpty -r shell line || exit 1
  done
}

zpty shell env TERM=dumb ZDOTDIR=$folder zsh -d -i
await READY
for typed in "$@"; do
  : >$found
  zpty -n -w shell $'\C-u'$typed$'\t'
  await DONE
  print -r -- ${(o)${(u)${(f)"$(<$found)"}}:#}
done
zpty -d shell
