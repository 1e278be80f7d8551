// Package console serves the web console: pages for finance and support that show
// the records of all trades, and forms that act through the same code as the
// commands. It decides nothing about a trade.
package console
