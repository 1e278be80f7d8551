package config

import (
	"regexp"
	"strings"
)

// serviceLink matches the variables that Kubernetes sets in every container
// for a Service: for one named capture-worker they begin as ours do, and are
// none of ours.
var serviceLink = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)

// readEnv picks our variables. One that names no setting is a problem: it is
// most likely a setting with a typing mistake, which would silently not count.
func (l *loader) readEnv(environ []string) map[string]string {
	env := map[string]string{}
	names := envNames()
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		switch {
		case names[name]:
			env[name] = value
		case serviceLink.MatchString(name):
		default:
			l.problem(Problem{Key: "environment variable " + cut(name), Wrong: "names no setting", Do: didYouMean(name, sortedNames(names))})
		}
	}
	return env
}

func envNames() map[string]bool {
	names := map[string]bool{FileEnv: true}
	for _, k := range allKeys() {
		names[k.Env] = true
	}
	return names
}
