package config

import (
	"fmt"
	"os"
)

// defaultWorkerName tells processes and machines apart in the ledger.
func defaultWorkerName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "worker"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}
