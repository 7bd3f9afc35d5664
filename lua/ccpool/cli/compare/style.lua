--- The look of plots and of the report, in light and in dark.
-- @module ccpool.cli.compare.style

local series = require("ccpool.cli.compare.series")

local PLOT = [[
.plot text{fill:var(--ink);font:12px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
.plot .tick{fill:var(--soft);font-size:11.5px}.plot .title{font-size:12.5px}
.plot .label{font-weight:600}.plot .hint{fill:var(--soft);font-size:11px}
.plot .value{font-size:11.5px}.plot .middle{text-anchor:middle}.plot .end{text-anchor:end}
.plot .grid{stroke:var(--grid)}.plot .axis{stroke:var(--soft)}
.plot .ideal{fill:none;stroke:var(--soft);stroke-width:1.5;stroke-dasharray:4 4}
.plot .crowded{fill:var(--shade)}
.plot .line{fill:none;stroke:var(--c);stroke-width:2}
.plot .whisker{stroke:var(--c);stroke-width:1.5}
.plot .mark{fill:var(--c);stroke:var(--paper);stroke-width:1.2}
.plot .cross{fill:none;stroke:var(--c);stroke-width:2.6}
.plot .span{fill:var(--c);stroke:var(--paper);stroke-width:.6}.plot .span.even{fill-opacity:.66}
.plot .box{fill:var(--c);fill-opacity:.22;stroke:var(--c);stroke-width:1.4}
.plot .median{stroke:var(--c);stroke-width:3}.plot .run{fill:var(--c);fill-opacity:.75}
.plot .bar{fill:var(--c)}
]]

local PAGE = [[
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
main{max-width:1340px;margin:0 auto;padding:24px 16px 48px}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 4px}
h2{font-size:1.25rem;margin:40px 0 2px;scroll-margin-top:8px}
h3{font-size:.95rem;margin:0 0 6px}
p{margin:4px 0 12px;max-width:75ch}.soft{color:var(--soft)}
nav a{display:inline-block;margin:0 16px 4px 0}a{color:var(--link)}
.alarm{border-left:4px solid var(--alarm);padding-left:10px}
.plots{display:grid;gap:16px;grid-template-columns:repeat(auto-fill,minmax(min(100%,390px),1fr))}
figure{margin:0;padding:14px 12px 10px;background:var(--paper);border:1px solid var(--grid);
border-radius:8px;min-width:0}
figure svg{display:block;width:100%;height:auto;max-width:560px;margin:0 auto}
figcaption{font-size:.82rem;color:var(--soft);margin-top:6px}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;margin:0 0 8px;padding:0;list-style:none;
font-size:.84rem}
.legend li{display:flex;align-items:center;gap:6px}.legend svg{width:26px;height:14px;margin:0}
.scroll{overflow-x:auto;background:var(--paper);border:1px solid var(--grid);border-radius:8px;
margin-top:16px}
table{border-collapse:collapse;width:100%;font-size:.84rem;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;white-space:nowrap;text-align:left}
th{color:var(--soft);font-weight:600;border-bottom:1px solid var(--grid)}
tbody tr+tr td{border-top:1px solid var(--grid)}
.r{text-align:right}.dot{display:inline-block;width:10px;height:10px;border-radius:3px;
background:var(--c);margin-right:7px}
.flag{display:inline-block;padding:0 7px;border-radius:9px;background:var(--shade);
border:1px solid var(--grid);margin-right:4px}
ul.notes{padding-left:20px;margin:8px 0}
#tip{position:fixed;z-index:9;pointer-events:none;max-width:280px;padding:5px 9px;font-size:.82rem;
background:var(--ink);color:var(--ground);border-radius:6px;visibility:hidden}
]]

local LIGHT = {
  "--ground:#f6f7f9", "--paper:#ffffff", "--ink:#1b2330", "--soft:#566170", "--grid:#dfe3e8",
  "--shade:#eef0f3", "--link:#0b57b0", "--alarm:#c2410c",
}
local DARK = {
  "--ground:#12161c", "--paper:#1a2029", "--ink:#e8ecf1", "--soft:#a3adb8", "--grid:#333c48",
  "--shade:#252d38", "--link:#7db6ff", "--alarm:#ff9d4d",
}

local function colours(theme)
  local rules = {}
  for i, entry in ipairs(series.LIST) do
    rules[i] = (".s-%s{--c:%s}"):format(entry.backend, entry[theme])
  end
  return table.concat(rules)
end

local function themes()
  return (":root{color-scheme:light dark;%s}%s\n"):format(table.concat(LIGHT, ";"),
      colours("light"))
    .. ("@media (prefers-color-scheme:dark){:root{%s}%s}\n"):format(table.concat(DARK, ";"),
      colours("dark"))
end

--- The style of plots alone.
-- @treturn string CSS
local function of_plots()
  return themes() .. PLOT
end

--- The style of the report.
-- @treturn string CSS
local function of_page()
  return themes() .. PAGE .. PLOT
end

return { of_page = of_page, of_plots = of_plots }
