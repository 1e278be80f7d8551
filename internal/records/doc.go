// Package records keeps a read model of the ledger and of the dead letters in a
// relational database, SQLite or Postgres: trades, orders, events, dead letters
// and operators' acts, to be found by any id in milliseconds.
//
// It is derived data. It is exact as of a sequence of the ledger, which every
// answer states, and can be thrown away and filled again. Nothing that decides
// about money reads it.
//
// A Follower fills it: it reads the two streams by durable consumers and applies
// them in batches, each in one transaction together with the sequence it ends
// at. What a trade's row says is the fold (capture.State) of the events that the
// model holds of it.
package records
