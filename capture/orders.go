package capture

import "slices"

// Orders returns the orders that the events and jobs of a trade name, in this
// order. A later job may name another order than the first, and both are asked for.
func Orders(events []Event) []string {
	var orders []string
	add := func(order string) {
		if order != "" && !slices.Contains(orders, order) {
			orders = append(orders, order)
		}
	}
	for i := range events {
		add(events[i].OrderID)
		if job := events[i].Job; job != nil {
			add(job.OrderID)
		}
	}
	return orders
}
