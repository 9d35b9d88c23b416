-- SPDX-License-Identifier: Apache-2.0
-- What wrk sends, and the one line it prints: median, 95th and 99th
-- percentile in microseconds, runs a second, answers that were not 200.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = os.getenv("BODY") or '{"code": "print(1+1)"}'

done = function(summary, latency, requests)
   local bad = summary.errors.status + summary.errors.connect
       + summary.errors.read + summary.errors.write + summary.errors.timeout
   io.write(string.format("RESULT %d %d %d %.0f %d\n",
      latency:percentile(50), latency:percentile(95), latency:percentile(99),
      summary.requests / (summary.duration / 1e6), bad))
end
