-- Five questions about a fleet, for DuckDB:
--
--   probeplan merge results/ --format parquet -o tables
--   (cd tables && duckdb) < fleet.sql
--
-- runs.parquet has a row for each run, cells.parquet one for each cell of its metrics, and
-- buckets.parquet one for each bucket of a histogram. A cell is named by run_id and cell. Only runs of
-- the same plan with the same settings should be added: here they are all of one plan.

-- 1. Which keys of which metric count most, and on how many hosts?
SELECT probe, metric, key, sum(events) AS events, count(DISTINCT host_id) AS hosts
FROM 'cells.parquet' JOIN 'runs.parquet' USING (run_id)
WHERE kind = 'count'
GROUP BY probe, metric, key
ORDER BY events DESC, key
LIMIT 20;

-- 2. How do kernels and mechanisms differ: median and 99th percentile of each histogram?
WITH added AS (
  SELECT probe, metric, kernel, mechanisms, edge, middle, sum("count") AS events
  FROM 'buckets.parquet' JOIN 'cells.parquet' USING (run_id, cell) JOIN 'runs.parquet' USING (run_id)
  GROUP BY probe, metric, kernel, mechanisms, edge, middle
), ranked AS (
  SELECT *,
    sum(events) OVER (PARTITION BY probe, metric, kernel, mechanisms ORDER BY edge) AS reached,
    sum(events) OVER (PARTITION BY probe, metric, kernel, mechanisms) AS inside
  FROM added
)
SELECT probe, metric, kernel, mechanisms, any_value(inside) AS events,
  min(middle) FILTER (reached >= 0.50 * inside) AS p50,
  min(middle) FILTER (reached >= 0.99 * inside) AS p99
FROM ranked
GROUP BY probe, metric, kernel, mechanisms
ORDER BY probe, metric, kernel, mechanisms;

-- 3. Which hosts take longest, by the median of a histogram, and how much longer than the others?
WITH ranked AS (
  SELECT run_id, probe, metric, middle,
    sum("count") OVER (PARTITION BY run_id, probe, metric ORDER BY edge) AS reached,
    sum("count") OVER (PARTITION BY run_id, probe, metric) AS inside
  FROM 'buckets.parquet' JOIN 'cells.parquet' USING (run_id, cell)
), medians AS (
  SELECT run_id, probe, metric, min(middle) AS p50
  FROM ranked
  WHERE reached >= 0.5 * inside AND inside >= 100
  GROUP BY run_id, probe, metric
)
SELECT probe, metric, host, p50, p50 / median(p50) OVER (PARTITION BY probe, metric) AS times
FROM medians JOIN 'runs.parquet' USING (run_id)
ORDER BY times DESC, host
LIMIT 20;

-- 4. Why are runs not complete, and on how many hosts?
SELECT outcome, unnest(because) AS reason, count(DISTINCT host_id) AS hosts
FROM 'runs.parquet'
WHERE complete IS NOT TRUE
GROUP BY outcome, reason
ORDER BY hosts DESC, reason;

-- 5. How many events are there per second and CPU, by kernel?
SELECT probe, metric, kernel, count(DISTINCT host_id) AS hosts,
  sum(events) / (sum(duration_ns::DOUBLE * cpus) / 1e9) AS per_second_and_cpu
FROM (
  SELECT run_id, probe, metric, sum(events) AS events
  FROM 'cells.parquet'
  WHERE events IS NOT NULL
  GROUP BY run_id, probe, metric
) JOIN 'runs.parquet' USING (run_id)
GROUP BY probe, metric, kernel
ORDER BY probe, metric, kernel;
