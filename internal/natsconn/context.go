package natsconn

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// SelectedContext stands for the context that is selected in the nats command line
// tool.
const SelectedContext = "selected"

// selectedContext returns the name of the context that is selected in the nats
// command line tool, which keeps it in a file beside the contexts.
func selectedContext() (string, error) {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("looking for the selected context: %w", err)
		}
		dir = filepath.Join(home, ".config")
	}
	content, err := os.ReadFile(filepath.Join(dir, "nats", "context.txt"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("looking for the selected context: %w", err)
	}
	name := strings.TrimSpace(string(content))
	if name == "" {
		return "", errors.New("no context is selected: `nats context select NAME`, or set nats.context to the name of one")
	}
	return name, nil
}
