// Package records keeps a read model of the ledger and of the dead letters in a
// relational database, SQLite or Postgres: trades, orders, events, dead letters and
// operators' acts, to be found by any id in milliseconds.
//
// It is derived data. The database is derived data: it is exact as of a sequence of
// the ledger, which every result has, and can be rebuilt at any time. No decision
// about money reads it.
//
// A Follower fills the database: it reads the two streams with durable consumers
// and applies batches of messages, each in one transaction with the sequence of its
// last message. The row of a trade is the fold (capture.State) of its events in the
// database.
package records
