local support = dofile("spec/cli/support.lua")
local read_file = support.read_file
local assert, describe, it = assert, describe, it
local pending, setup, teardown = pending, setup, teardown
local _ENV = _G -- luacheck: ignore

local ANSWERS = [[
112272535095293 is prime: true
112582705942171 is prime: true
112272535095293 is prime: true
115280095190773 is prime: true
115797848077099 is prime: true
1099726899285419 is prime: false
]]

local function count_of(text, pattern)
  return select(2, text:gsub(pattern, ""))
end

-- The rows of a table, as "workload backend workers".
local function rows_in(out)
  local rows = {}
  for workload, backend, workers in out:gmatch("\n(%l+) +([%l-]+) +(%d+) +[%d.]+ +[%d.–]+") do
    rows[#rows + 1] = table.concat({ workload, backend, workers }, " ")
  end
  return rows
end

describe("ccpool compare", function()
  it("shows the results and one table of all backends #slow", function()
    local out, code = support.run({ "compare", "-w", "2", "--runs", "1", "--warmup", "0" })
    assert.are.equal(0, code)
    assert.are.equal(ANSWERS, out:sub(1, #ANSWERS))
    assert.matches("\n127.0.0.1: open ports: %d+ [%d ]+\n\nworkload ", out)
    local rows = rows_in(out)
    assert.are.equal("primes serial 1", rows[1])
    for _, row in ipairs({ "primes threads 2", "primes processes 2", "scan serial 1",
      "scan threads 2", "scan processes 2" }) do
      assert.is_not_nil(table.concat(rows, "\n"):find(row, 1, true), row)
    end
  end)

  it("runs one workload, repeatedly, with several numbers of workers", function()
    local out, code = support.run({ "compare", "sleep", "-w", "2,1,2", "--runs", "3",
      "--warmup", "0" })
    assert.are.equal(0, code)
    assert.matches("^sleeps of 20 ms: 40\n", out)
    assert.are.same({ "sleep serial 1", "sleep threads 1", "sleep processes 1",
      "sleep threads 2", "sleep processes 2" }, rows_in(out))
    assert.matches("workers +time s +speedup +CPU s +95%% s +min s +max s", out)
  end)

  it("reads the banners of a slow server of its own", function()
    local out, code = support.run({ "compare", "io", "-w", "2", "--runs", "1", "--warmup", "0" })
    assert.are.equal(0, code)
    assert.matches("^banners read: 24\n", out)
    assert.are.equal(3, #rows_in(out))
  end)

  it("measures the start and the memory of workers", function()
    local out, code = support.run({ "compare", "memory", "-w", "1,2", "--runs", "1",
      "--format", "csv" })
    assert.are.equal(0, code)
    assert.matches("^workload,backend,workers,seconds,", out)
    assert.are.equal(5, count_of(out, "\n"))
    local start, memory = out:match("memory,processes,2,([%d.e-]+),[^\n]-,(%d+),[%d.]+,[%d.e-]+,,")
    assert.is_true(tonumber(start) > 0)
    assert.is_true(tonumber(memory) > 0)
  end)

  it("writes JSON as hyperfine does", function()
    local out, code = support.run({ "compare", "primes", "--json", "-", "-w", "2", "--runs", "2",
      "--warmup", "0" })
    assert.are.equal(0, code)
    assert.matches('^{"results":%[{"command":"primes serial","mean":[%d.]+,"stddev":[%d.]+,'
      .. '"median":[%d.]+,"user":[%d.]+,"system":[%d.]+,"min":[%d.]+,"max":[%d.]+,'
      .. '"times":%[[%d.]+,[%d.]+%],"exit_codes":%[0,0%],"parameters":{"workload":"primes",'
      .. '"backend":"serial","workers":"1"}', out)
    assert.matches('"outputs":{"primes":[{"number":112272535095293,"prime":true}', out, 1, true)
  end)

  it("writes Markdown", function()
    local out, code = support.run({ "compare", "sleep", "--md", "-", "-w", "2", "--runs", "1",
      "--warmup", "0" })
    assert.are.equal(0, code)
    assert.matches("^# ccpool compare\n\n## sleep\n\n40 sleeps of 20 ms.\n\n| workload |", out)
    assert.matches("\n| sleep | processes | 2 | 0.%d+ | ", out)
  end)

  it("lets Python and others do the same, where they are installed", function()
    local _, has_python = support.shell("command -v python3 >/dev/null")
    local out, code, err = support.run({ "compare", "sleep", "-w", "2", "--runs", "1",
      "--warmup", "0", "--vs", "python,factor" })
    assert.are.equal(0, code)
    assert.are.equal(has_python == 0 and 6 or 3, #rows_in(out))
    if has_python ~= 0 then
      assert.matches("python is not installed and was left out", err)
    end
  end)

  it("says which rival is not installed", function()
    local out, code, err = support.shell("mkdir -p build/no-rivals && PATH=build/no-rivals "
      .. "$(command -v lua5.4) bin/ccpool compare sleep -w 1 --runs 1 --warmup 0 --vs nmap")
    assert.are.equal(0, code)
    assert.matches("ccpool: compare: nmap is not installed and was left out\n", err)
    assert.are.equal(3, #rows_in(out))
  end)

  it("reports the rounds that were run when it is interrupted", function()
    local out, code, err = support.shell([[
      dir=$(mktemp -d) && mkfifo "$dir/said" || exit 99
      bin/ccpool compare memory -w 1 --runs 1000 --warmup 0 -v --csv "$dir/rows" 2>"$dir/said" &
      pid=$!
      while read -r line; do
        case $line in
        *"run 4 of"*) kill -INT "$pid" ;;
        *"interrupted"*) echo "$line" ;;
        esac
      done <"$dir/said"
      wait "$pid"
      code=$?
      cat "$dir/rows"
      rm -r "$dir"
      exit "$code"]])
    assert.are.equal(130, code, err)
    assert.matches("ccpool: compare: interrupted\n", out, 1, true)
    assert.matches("\nmemory,threads,1,", out, 1, true)
    assert.matches("\nmemory,processes,1,", out, 1, true)
  end)

  it("refuses what it cannot do", function()
    local function complaint(...)
      local _, code, err = support.run({ "compare", ... })
      return code, err
    end
    local code, err = complaint("sleep", "--md", "-", "--csv", "-")
    assert.are.equal(2, code)
    assert.matches("both want standard output", err)
    code, err = complaint("--vs", "perl")
    assert.are.equal(2, code)
    assert.matches("'perl' is none of python, nmap, factor", err)
    code = complaint("-w", "0")
    assert.are.equal(2, code)
    code = complaint("everything")
    assert.are.equal(2, code)
    code, err = complaint("sleep", "--html", "build/no-such-directory/r.html")
    assert.are.equal(2, code)
    assert.matches("cannot open build/no%-such%-directory/r.html", err)
  end)
end)

describe("the report of ccpool compare", function()
  local path = os.tmpname()
  local picture = os.tmpname()
  local html

  setup(function()
    local _, code, err = support.run({ "compare", "sleep", "cpu", "memory", "-w", "1,2",
      "--runs", "3", "--warmup", "0", "--html", path, "--svg", picture })
    assert.are.equal(0, code, err)
    html = read_file(path)
  end)

  teardown(function()
    os.remove(path)
    os.remove(picture)
  end)

  -- The markup of the plots of one class, in the order of the page.
  local function plots(class)
    local found = {}
    for markup in html:gmatch('<svg [^>]-class="plot ' .. class .. '".-</svg>') do
      found[#found + 1] = markup
    end
    return found
  end

  local function backends_of(markup, pattern)
    local found = {}
    for backend in markup:gmatch(pattern) do
      found[backend] = (found[backend] or 0) + 1
    end
    return found
  end

  it("marks each row in the plot of speedup, and the ideal", function()
    local sleep = plots("speedup")[2]
    assert.are.equal(2, #plots("speedup"))
    assert.are.equal(1, count_of(sleep, 'class="ideal"'))
    assert.are.same({ serial = 1, threads = 2, processes = 2 },
      backends_of(sleep, 'class="mark [^"]*s%-(%l+)"'))
  end)

  it("has a box for each task on the lane of its worker", function()
    local sleep = plots("gantt")[2]
    assert.are.same({ serial = 40, threads = 40, processes = 40 },
      backends_of(sleep, '<rect class="span s%-(%l+) '))
    assert.matches("worker 2, task %d+: [%d.]+ ms", sleep)
  end)

  it("has a curve of latencies for each backend", function()
    local sleep = plots("latency")[2]
    assert.are.same({ serial = 1, threads = 1, processes = 1 },
      backends_of(sleep, 'class="line s%-(%l+)"'))
  end)

  it("has a box for each row and a dot for each run", function()
    local sleep = plots("runs")[2]
    assert.are.equal(5, count_of(sleep, 'class="box '))
    assert.are.equal(15, count_of(sleep, 'class="run '))
  end)

  it("has bars of memory and of starts", function()
    assert.are.equal(3, #plots("memory"))
    assert.are.equal(4, count_of(plots("memory")[3], 'class="bar '))
    assert.are.equal(4, count_of(plots("start")[1], 'class="bar '))
  end)

  it("has titles with units on all axes, and no number that is none", function()
    for _, title in ipairs({ "speedup, serial = 1", "time since the start, ", "time of a task, ms",
      "time of a run, ", "memory per worker, " }) do
      assert.is_not_nil(html:find(title, 1, true), title)
    end
    for markup in html:gmatch("<svg.-</svg>") do
      assert.is_nil(markup:find("[^%w]%-?nan[^%w]") or markup:find("[^%w]inf[^%w]"))
    end
  end)

  it("stands alone: nothing is fetched, and its data are in it", function()
    assert.is_nil(html:find('src=', 1, true))
    assert.is_nil(html:find("@import", 1, true))
    assert.matches('<script type="application/json" id="data">{"results":[{"command":"cpu serial"',
      html, 1, true)
    assert.matches("prefers%-color%-scheme:dark", html)
  end)

  it("has a table with a line for each row", function()
    assert.are.equal(3, count_of(html, "<table>"))
    assert.is_true(count_of(html, "<tr><td") >= 14)
  end)

  it("is also a picture of the speedups", function()
    local svg = read_file(picture)
    assert.matches("^<svg ", svg)
    assert.are.equal(2, count_of(svg, 'class="ideal" d="M%d+%.%d %d+%.%dL'))
    assert.matches("prefers%-color%-scheme:dark", svg)
  end)

  it("opens in a browser without a complaint", function()
    local _, has_browser = support.shell("command -v chromium >/dev/null")
    if has_browser ~= 0 then
      return pending("chromium is not installed")
    end
    local page = path .. ".html"
    assert(os.rename(path, page))
    local profile = os.tmpname()
    os.remove(profile)
    local dom, code, err = support.shell(("timeout 120 chromium --headless --no-sandbox "
      .. "--disable-gpu --user-data-dir=%s --enable-logging=stderr --dump-dom file://%s")
      :format(profile, page))
    support.shell("rm -rf " .. profile)
    assert(os.rename(page, path))
    assert.are.equal(0, code)
    assert.is_nil(err:find("CONSOLE", 1, true), err)
    -- The script has run: titles have become tips, one on each task.
    assert.are.equal(0, count_of(dom, "<svg[^>]*>[^<]*<title>"))
    assert.is_true(count_of(dom, 'class="span [^>]*data%-tip="') >= 120)
  end)
end)
