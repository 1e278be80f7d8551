package harness

// What the tests look at.
var (
	Recovered = recovered
	Window    = window
)
