--- The one list of commands and their options: dispatch, `weft help`, checks and hints read it.
local M = {}

--- Options that every command takes. value: the option has one; short: its letter.
M.common = {
  { name = "json", help = "machine-readable result on stdout" },
  { name = "quiet", short = "q", help = "say nothing but errors" },
  { name = "plain", help = "no colours, no bars, no pictures in the terminal" },
  { name = "help", short = "h", help = "this page" },
}

local out = { name = "out", short = "o", value = "DIR", help = "where files go (default: here)" }
local model = { name = "model", short = "m", value = "NAME", help = "model to use" }
local device = { name = "device", short = "d", value = "D", help = "cpu or auto" }
local threads = { name = "threads", value = "N", help = "threads on the CPU" }
local show = { name = "show", help = "show results in the terminal" }

--- name, group, what comes behind it, one line, options, and where more is to be said, a text.
M.list = {
  { name = "run", group = "Make", args = "RECIPE | - [name=value ...]", help = "run a recipe",
    options = { out, model, device, threads, show,
      { name = "set-from", value = "FILE", help = "parameters from a file that weft made" },
      { name = "sandbox", help = "without programs, native code and files elsewhere" } },
    more = "The recipe's folder is importable, and globals are strict: an undefined name is an\n"
      .. "error. Parameters are those that the recipe declares with weft.params; `weft run RECIPE\n"
      .. "--help` lists them. -o - writes the one file that it makes to stdout; what it prints\n"
      .. "then goes to stderr, as with --json. Exit status: 0 done, 1 the recipe raised, 2 wrong\n"
      .. "use, 4 model or input missing, 5 device or memory, 130 Ctrl-C, 143 SIGTERM." },
  { name = "make", group = "Make", args = "KIND TEXT [option=value ...]",
    help = "make one image, audio, video or text without a recipe",
    options = { { name = "out", short = "o", value = "FILE", help = "the file to write" }, model,
      device,
      threads, show, { name = "seed", value = "N", help = "same as seed=N" },
      { name = "overwrite", help = "replace the file of -o" } },
    more = "Without -o the name is made of the words, with a number when that is taken. -o -\n"
      .. "writes the one file to stdout. Of several (n=3) each has its seed in the name." },
  { name = "repl", group = "Make", args = "[RECIPE]", help = "interactive session",
    options = { out, model, device, threads } },
  { name = "batch", group = "Make", args = "RECIPE... | DIR | -",
    help = "run many, skip what is done",
    options = { { name = "out", short = "o", value = "DIR",
      help = "where files go (default: out)" },
      model, device, threads,
      { name = "sweep", value = "NAME=V,V", list = true, help = "vary a parameter: 3,5,7 or 1..8" },
      { name = "zip", help = "pair the sweeps instead of their product" },
      { name = "table", value = "FILE", help = "one job a row of a .csv or .jsonl" },
      { name = "jobs", short = "j", value = "N", help = "worker processes (default 1)" },
      { name = "dry-run", short = "n", help = "list the jobs, make nothing" },
      { name = "force", help = "run done jobs again" },
      { name = "only", value = "failed", help = "run only the jobs that failed before" },
      { name = "keep-going", help = "go on after a failed job (the default)" },
      { name = "fail-fast", help = "stop at the first failed job" },
      { name = "retries", value = "N", help = "more tries after device or memory errors" },
      { name = "timeout", value = "TIME", help = "longest time of one job: 90s, 10m, 2h" },
      { name = "stall", value = "TIME",
        help = "end a job that shows no progress for so long (10m; 0 never)" },
      { name = "max-time", value = "TIME", help = "stop claiming jobs after this; exit 75" },
      { name = "report", value = "FILE", help = "a page of all that is there, at the end" } },
    more = "One journal, weft.jsonl, in the output folder says what is done; the same command\n"
      .. "again runs what is missing. Exit status: 0 all good, 2 wrong use, 3 some jobs failed,\n"
      .. "75 stopped early (run it again), 130 Ctrl-C, 143 SIGTERM. Ctrl-C once finishes the\n"
      .. "running jobs, twice stops them; SIGUSR1 stops claiming; SIGUSR2 prints where it is." },
  { name = "demo", group = "Make", args = "", help = "see it work", options = { out } },
  { name = "info", group = "Look", args = "FILE [FILE]", help = "how was this made? what differs?",
    options = {} },
  { name = "inspect", group = "Look", args = "MODEL", help = "what a model file or folder is",
    options = { { name = "all", help = "every tensor" },
      { name = "check", help = "count the values that are not finite" } } },
  { name = "report", group = "Look", args = "DIR | FILE...",
    help = "a page of what was made, and how",
    options = { { name = "out", short = "o", value = "FILE",
      help = "the page (default: report.html in DIR)" },
      { name = "title", value = "TEXT", help = "of the page" },
      { name = "group", value = "NAME", help = "parameter to group by (default: what a batch "
        .. "varied; none)" },
      { name = "max-mb", value = "N", help = "media inside the page (25); more is linked" },
      { name = "inline", help = "everything inside the page" },
      { name = "link", help = "only small pictures inside, the rest linked" } },
    more = "The page is one file that loads nothing from anywhere and works without JavaScript.\n"
      .. "Each card shows the prompt with its media in place, the parameters, and the line that\n"
      .. "makes the file again. Of a batch it shows failed jobs with the end of their logs." },
  { name = "sheet", group = "Look", args = "DIR", help = "the pictures of a folder as one picture",
    options = { { name = "out", short = "o", value = "FILE",
      help = "the picture (default: sheet.png in DIR)" },
      { name = "x", value = "NAME", help = "parameter along the columns: guidance" },
      { name = "y", value = "NAME", help = "parameter along the rows: seed" },
      { name = "columns", value = "N", help = "pictures in a row, without --x" },
      { name = "size", value = "N", help = "widest picture, in pixels" },
      { name = "title", value = "TEXT", help = "above the pictures" } } },
  { name = "status", group = "Look", args = "DIR", help = "what a batch has done so far",
    options = {} },
  { name = "params", group = "Fix", args = "RECIPE", help = "the parameters of a recipe",
    options = {} },
  { name = "repro", group = "Fix", args = "FILE",
    help = "make a file again and compare the bytes",
    options = { out, model, device, threads,
      { name = "timeout", value = "TIME",
        help = "longest time it may take: 90s, 2h (10m; 0 for ever)" },
      { name = "trust", help = "run the file's recipe with everything" } },
    more = "A file may carry the recipe that made it. It runs in a folder of its own, fenced in:\n"
      .. "without programs, native code, and files anywhere else. Exit status: 0 identical,\n"
      .. "1 differs, 4 the file or something it needs is missing, 75 it took longer than\n"
      .. "--timeout, 130 Ctrl-C, 143 SIGTERM." },
  { name = "doctor", group = "Fix", args = "", help = "what this machine has, one line a problem",
    options = {} },
  { name = "models", group = "Setup", args = "", help = "models in the search path", options = {} },
  { name = "devices", group = "Setup", args = "", help = "devices to compute on", options = {} },
  { name = "samplers", group = "Setup", args = "", help = "samplers and schedules", options = {} },
  { name = "new", group = "Setup", args = "NAME", help = "start a recipe", options = {} },
  { name = "help", group = "Setup", args = "[COMMAND | OPTION]", help = "more about one thing",
    options = { { name = "markdown", help = "all of it as one page: docs/api.md" } } },
}

M.by_name = {}
for _, c in ipairs(M.list) do M.by_name[c.name] = c end

--- Names of all commands.
function M.names()
  local names = {}
  for i, c in ipairs(M.list) do names[i] = c.name end
  return names
end

return M
