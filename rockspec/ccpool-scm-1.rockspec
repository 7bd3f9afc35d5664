rockspec_format = "3.0"
package = "ccpool"
version = "scm-1"

source = {
  url = "git+https://github.com/ccpool/ccpool",
  branch = "main",
}

description = {
  summary = "Threads and processes for Lua 5.4",
  detailed = [[
ccpool runs Lua functions in pools of threads or of processes and hands out futures:
submit, map, wait, as_completed; queues, locks and shared values; timeouts, priorities
and cancellation. A crash of a worker process costs its own task only.]],
  homepage = "https://github.com/ccpool/ccpool",
  license = "MIT",
  labels = { "concurrency", "threads", "processes", "parallel" },
}

supported_platforms = { "unix" }

dependencies = {
  "lua >= 5.4, < 5.5",
  "luaposix >= 35.1",
  "argparse >= 0.7",
}

build = {
  type = "builtin",
  modules = {
    -- begin: written by tools/rockspec-sync
    ["ccpool.core"] = {
      sources = {
        "csrc/bind/lclient.c",
        "csrc/bind/lcore.c",
        "csrc/bind/lerror.c",
        "csrc/bind/lexecutor.c",
        "csrc/bind/lfuture.c",
        "csrc/bind/lfuture_deliver.c",
        "csrc/bind/lfuture_watch.c",
        "csrc/bind/lmap.c",
        "csrc/bind/lmap_source.c",
        "csrc/bind/lserial.c",
        "csrc/bind/lsubmit.c",
        "csrc/codec/buf.c",
        "csrc/codec/context.c",
        "csrc/codec/custom.c",
        "csrc/codec/decode.c",
        "csrc/codec/decode_frame.c",
        "csrc/codec/emit.c",
        "csrc/codec/encode.c",
        "csrc/codec/encode_func.c",
        "csrc/codec/encode_object.c",
        "csrc/codec/encode_table.c",
        "csrc/codec/func.c",
        "csrc/codec/memo.c",
        "csrc/codec/names.c",
        "csrc/codec/path.c",
        "csrc/codec/resolve.c",
        "csrc/codec/wire.c",
        "csrc/os/clock.c",
        "csrc/os/cpu.c",
        "csrc/os/fault.c",
        "csrc/os/fd.c",
        "csrc/os/futex.c",
        "csrc/os/lock.c",
        "csrc/os/mapping.c",
        "csrc/os/process.c",
        "csrc/os/thread.c",
        "csrc/pool/balance.c",
        "csrc/pool/dispatch.c",
        "csrc/pool/funcs.c",
        "csrc/pool/pool.c",
        "csrc/pool/staff.c",
        "csrc/pool/supervisor.c",
        "csrc/shared/arena.c",
        "csrc/task/board.c",
        "csrc/task/bytes.c",
        "csrc/task/list.c",
        "csrc/task/replies.c",
        "csrc/task/store.c",
        "csrc/task/task.c",
        "csrc/worker/loop.c",
        "csrc/worker/thread.c",
        "csrc/worker/vm.c",
        "csrc/worker/vm_call.c",
        "csrc/worker/zygote.c",
      },
      incdirs = { "csrc" },
      defines = { "_GNU_SOURCE" },
      libraries = { "pthread" },
    },
    ["ccpool.cli.backend"] = "lua/ccpool/cli/backend.lua",
    ["ccpool.cli.compare"] = "lua/ccpool/cli/compare.lua",
    ["ccpool.cli.compare.cpu"] = "lua/ccpool/cli/compare/cpu.lua",
    ["ccpool.cli.compare.primes"] = "lua/ccpool/cli/compare/primes.lua",
    ["ccpool.cli.compare.scan"] = "lua/ccpool/cli/compare/scan.lua",
    ["ccpool.cli.csv"] = "lua/ccpool/cli/csv.lua",
    ["ccpool.cli.exit"] = "lua/ccpool/cli/exit.lua",
    ["ccpool.cli.input"] = "lua/ccpool/cli/input.lua",
    ["ccpool.cli.interrupt"] = "lua/ccpool/cli/interrupt.lua",
    ["ccpool.cli.json"] = "lua/ccpool/cli/json.lua",
    ["ccpool.cli.main"] = "lua/ccpool/cli/main.lua",
    ["ccpool.cli.numbers"] = "lua/ccpool/cli/numbers.lua",
    ["ccpool.cli.options"] = "lua/ccpool/cli/options.lua",
    ["ccpool.cli.output"] = "lua/ccpool/cli/output.lua",
    ["ccpool.cli.prime"] = "lua/ccpool/cli/prime.lua",
    ["ccpool.cli.primes"] = "lua/ccpool/cli/primes.lua",
    ["ccpool.cli.progress"] = "lua/ccpool/cli/progress.lua",
    ["ccpool.cli.scan"] = "lua/ccpool/cli/scan.lua",
    ["ccpool.cli.scan.engine"] = "lua/ccpool/cli/scan/engine.lua",
    ["ccpool.cli.scan.limits"] = "lua/ccpool/cli/scan/limits.lua",
    ["ccpool.cli.scan.ports"] = "lua/ccpool/cli/scan/ports.lua",
    ["ccpool.cli.scan.probe"] = "lua/ccpool/cli/scan/probe.lua",
    ["ccpool.cli.scan.report"] = "lua/ccpool/cli/scan/report.lua",
    ["ccpool.cli.scan.states"] = "lua/ccpool/cli/scan/states.lua",
    ["ccpool.cli.scan.sweep"] = "lua/ccpool/cli/scan/sweep.lua",
    ["ccpool.cli.scan.targets"] = "lua/ccpool/cli/scan/targets.lua",
    ["ccpool.cli.statistics"] = "lua/ccpool/cli/statistics.lua",
    ["ccpool.cli.table"] = "lua/ccpool/cli/table.lua",
    ["ccpool.errors"] = "lua/ccpool/errors.lua",
    ["ccpool.executor"] = "lua/ccpool/executor.lua",
    ["ccpool"] = "lua/ccpool/init.lua",
    ["ccpool.options"] = "lua/ccpool/options.lua",
    ["ccpool.waiting"] = "lua/ccpool/waiting.lua",
    -- end
  },
  install = {
    bin = { ccpool = "bin/ccpool" },
  },
}
