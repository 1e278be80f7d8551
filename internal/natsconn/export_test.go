package natsconn

// Coalesce returns a connection that combines small writes.
var Coalesce = coalesce
