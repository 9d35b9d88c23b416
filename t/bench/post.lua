-- SPDX-License-Identifier: Apache-2.0
-- What wrk sends, and the one line it prints:
--
--   RESULT p50 p95 p99 runs/s bad  answers refused lost wrong bytes duration
--
-- times in microseconds; bad: all that was no answer of status 200. Answers
-- are of any status, refused those above 399, lost what failed below HTTP,
-- wrong the answers 200 of a script that did not end with 0 (with CHECK only,
-- which costs the load generator time).
--
-- Environment: BODY, one request's body; or BODIES, a file with one body a
-- line, sent in turn; CHECK.
local ffi = require("ffi")
-- wrk's stats.h: count[n] answers took n microseconds.
ffi.cdef [[
   struct wrk_stats { uint64_t count, limit, min, max, data[]; };
]]

local requests = {}
local turn = 0
local threads = {}
wrong = 0

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = os.getenv("BODY") or '{"code": "print(1+1)"}'

function setup(thread)
   threads[#threads + 1] = thread
end

function init(args)
   local file = os.getenv("BODIES")
   if not file then
      return
   end
   for body in io.lines(file) do
      wrk.body = body
      requests[#requests + 1] = wrk.format()
   end
   if #requests > 1 then
      request = function()
         turn = turn % #requests + 1
         return requests[turn]
      end
   end
end

if os.getenv("CHECK") then
   response = function(status, headers, body)
      if status == 200 and not body:find('"returncode": ?0[,}]') then
         wrong = wrong + 1
      end
   end
end

-- wrk adds answers that a client who never waits would have had to wait for
-- ("coordinated omission"). What is compared here with others, who add none,
-- are the answers that there were: this takes the added ones away again
-- (stats_correct() in wrk's stats.c, backwards), and makes sure of it.
local function uncorrect(stats, summary, connections)
   local rounds = math.floor(summary.requests / connections)
   if rounds == 0 then
      return
   end
   local expected = math.floor(summary.duration / rounds)
   local n = tonumber(stats.max)
   while n >= expected * 2 do
      local count = stats.data[n]
      local m = n - expected
      while count > 0 and m > expected do
         stats.data[m] = stats.data[m] - count
         m = m - expected
      end
      n = n - 1
   end
end

local function percentile(stats, total, percent)
   local rank = math.max(1, math.ceil(total * percent / 100))
   local seen = 0
   for n = tonumber(stats.min), tonumber(stats.max) do
      seen = seen + tonumber(stats.data[n])
      if seen >= rank then
         return n
      end
   end
   return 0
end

done = function(summary, latency)
   local stats = ffi.cast("struct wrk_stats **", latency)[0]
   local connections = tonumber(os.getenv("CLIENTS"))
   local total = 0
   if summary.requests > 0 then
      if connections then
         uncorrect(stats, summary, connections)
      end
      for n = tonumber(stats.min), tonumber(stats.max) do
         total = total + tonumber(stats.data[n])
      end
   end
   if connections and total + summary.errors.timeout ~= summary.requests then
      error("this wrk counts " .. total .. " of " .. summary.requests
            .. " answers: its statistics are not what post.lua knows")
   end

   local errors = summary.errors
   local lost = errors.connect + errors.read + errors.write + errors.timeout
   local wrong_of_all = 0
   for _, thread in ipairs(threads) do
      wrong_of_all = wrong_of_all + thread:get("wrong")
   end
   io.write(string.format("RESULT %d %d %d %.0f %d %d %d %d %d %.0f %d\n",
      percentile(stats, total, 50), percentile(stats, total, 95),
      percentile(stats, total, 99),
      summary.requests / (summary.duration / 1e6), errors.status + lost,
      summary.requests, errors.status, lost, wrong_of_all, summary.bytes,
      summary.duration))
end
