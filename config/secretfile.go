package config

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"

	"github.com/capture-worker/capture-worker/gateway"
)

// previousKey is the only secret whose file may be empty: after a rotation.
const previousKey = "gateway.previous_secret_key"

// maxSecret limits the size of a file that holds a secret.
const maxSecret = 64 << 10

// readSecretFiles reads the secrets that are given by the path of a file. A secret
// that is given more than once is a problem.
func (l *loader) readSecretFiles() {
	for _, k := range allKeys() {
		if !k.Secret {
			continue
		}
		fileKey, ok := keyNamed(k.Name + fileSuffix)
		if !ok {
			continue
		}
		if places := append(l.places(k), l.places(fileKey)...); len(places) > 1 {
			l.problem(k.Name, "", "", "is given more than once, by "+strings.Join(places, " and "), "keep one of them")
			continue
		}
		if path := fileKey.field(&l.config).String(); path != "" {
			l.readSecret(k, path)
		}
		if k.field(&l.config).String() == hidden {
			l.problem(k.Name, "", l.config.Origin(k.Name).String(), "is the placeholder of a hidden secret, not a secret", "give the secret itself")
		}
	}
}

// places returns where a key is set, without the value.
func (l *loader) places(k Key) []string {
	var places []string
	if k.Flag != "" && l.flags != nil && l.flags.Changed(k.Flag) {
		places = append(places, "flag --"+k.Flag)
	}
	if l.env[k.Env] != "" {
		places = append(places, "environment "+k.Env)
	}
	if v := l.inFile(k); v != nil && v != "" {
		places = append(places, k.Name+" in file "+l.path)
	}
	return places
}

// readSecret reads one secret. Messages may contain the path, not the content.
func (l *loader) readSecret(k Key, path string) {
	from := l.config.Origin(k.Name + fileSuffix)
	secret, err := ReadSecret(path)
	switch {
	case errors.Is(err, ErrNoSecret) && k.Name == previousKey:
		return // an emptied file ends the acceptance of notifications signed with the old key
	case errors.Is(err, ErrNoSecret):
		l.problem(k.Name+fileSuffix, path, from.String(), "the file is empty", "write the secret into it")
		return
	case err != nil:
		l.problem(k.Name+fileSuffix, path, from.String(), "cannot be read: "+withoutPath(err), "")
		return
	}
	k.field(&l.config).Set(reflect.ValueOf(secret))
	l.config.origins[k.Name] = Origin{FromFile, path}
}

// ErrNoSecret is the error for a secret file that is empty.
var ErrNoSecret = errors.New("the file is empty")

// ReadSecret reads a secret from its file, without a trailing newline. Errors
// contain the path, never the content; an empty file is ErrNoSecret.
func ReadSecret(path string) (gateway.Secret, error) {
	b, err := readBounded(path, maxSecret)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if secret == "" {
		return "", fmt.Errorf("%s: %w", path, ErrNoSecret)
	}
	return gateway.Secret(secret), nil
}

// withoutPath returns the error without the path, which the message names already.
func withoutPath(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}
