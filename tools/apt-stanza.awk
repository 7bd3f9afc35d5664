# Of a deb822 sources file, prints the first stanza that serves the release `own`,
# changed to serve `suite`; the key named by `key`, if any, takes the place of its own.
BEGIN {
  RS = ""
  FS = "\n"
  split(own " stable oldstable testing unstable sid", list, " ")
  for (i in list) is_own[list[i]] = 1
}

function value_of(name,    i, line) {
  for (i = 1; i <= NF; i++) {
    line = $i
    if (tolower(substr(line, 1, length(name) + 1)) == name ":")
      return substr(line, length(name) + 2)
  }
  return ""
}

function serves(    n, words, i) {
  if (" " value_of("types") " " !~ /[ \t]deb[ \t]/) return 0
  if (tolower(value_of("enabled")) ~ /no|false|0/) return 0
  if (" " value_of("components") " " !~ /[ \t]main[ \t]/) return 0
  if (value_of("uris") ~ /security/) return 0
  n = split(value_of("suites"), words, /[ \t]+/)
  for (i = 1; i <= n; i++) if (words[i] in is_own) return 1
  return 0
}

!done && serves() {
  done = 1
  print "Types: deb"
  print "Suites: " suite
  print "Components: main"
  if (key != "") print "Signed-By: " key
  keep = 1
  for (i = 1; i <= NF; i++) {
    if ($i ~ /^#/) continue
    if ($i !~ /^[ \t]/) {
      keep = tolower($i) !~ /^(types|suites|components|enabled):/
      if (key != "" && tolower($i) ~ /^signed-by:/) keep = 0
    }
    if (keep) print $i
  }
}
