package natsconn

// Gather makes the small writes of a connection go out together.
var Gather = gather
