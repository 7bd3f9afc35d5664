# Of a one-line sources file, prints the first line that serves the release `own`,
# changed to serve `suite`; the key named by `key`, if any, takes the place of its own.
BEGIN {
  split(own " stable oldstable testing unstable sid", list, " ")
  for (i in list) is_own[list[i]] = 1
}

!done && /^[ \t]*deb[ \t]/ {
  options = ""
  line = $0
  sub(/#.*/, "", line)
  if (match(line, /\[[^]]*\]/)) {
    options = substr(line, RSTART + 1, RLENGTH - 2)
    line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
  }
  n = split(line, words, /[ \t]+/)
  first = words[1] == "" ? 2 : 1
  uri = words[first + 1]
  if (!(words[first + 2] in is_own) || uri ~ /security/ || uri ~ /^cdrom/) next
  has_main = 0
  for (i = first + 3; i <= n; i++) if (words[i] == "main") has_main = 1
  if (!has_main) next
  if (key != "") {
    gsub(/[Ss]igned-[Bb]y=[^ \t]*/, "", options)
    options = options " signed-by=" key
  }
  done = 1
  print "deb " (options == "" ? "" : "[" options "] ") uri " " suite " main"
}
