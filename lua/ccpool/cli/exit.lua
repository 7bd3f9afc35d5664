--- The exit codes of the command line.
-- @module ccpool.cli.exit

return {
  OK = 0,
  CHECK_FAILED = 1,
  USAGE = 2,
  INCOMPLETE = 3,
  INTERRUPTED = 130,
  BROKEN_PIPE = 141,
}
