-- Prints what wrk counted as one line of JSON, for the harness to read.
function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      'RESULT {"requests":%d,"microseconds":%d,"p50_us":%d,"p99_us":%d,' ..
      '"connect_errors":%d,"read_errors":%d,"write_errors":%d,"timeouts":%d,"bad_statuses":%d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
