// Prints what two other programs read of an export: node read.mjs xlsx FILE
// SHEET, or node read.mjs parquet FILE.
const [what, file, sheet] = process.argv.slice(2)
if (what === 'xlsx') {
  const { readSheet } = await import('read-excel-file/node')
  const rows = await readSheet(file, sheet, { parseNumber: text => ({ number: text }) })
  console.log(JSON.stringify(rows))
} else {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const db = await (await DuckDBInstance.create(':memory:')).connect()
  const ask = async query => (await db.runAndReadAll(query, [file])).getRowsJson()
  console.log(JSON.stringify({
    columns: await ask('SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet($1))'),
    rows: await ask('SELECT * FROM read_parquet($1)'),
    sums: await ask("SELECT outcome, currency, CAST(SUM(amount) AS VARCHAR), COUNT(*) FROM read_parquet($1) GROUP BY 1, 2 ORDER BY 1, 2"),
    about: await ask('SELECT decode(key), decode(value) FROM parquet_kv_metadata($1)'),
  }))
}
