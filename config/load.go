package config

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// maxFile limits the size of the file; a real one has a few kilobytes.
const maxFile = 1 << 20

// Options are the sources of Load. The zero Options are the defaults and the
// environment of the process.
type Options struct {
	File  string          // path of a YAML file; "" is CAPTURE_CONFIG, and none if that is empty
	Env   func() []string // nil is os.Environ
	Flags *pflag.FlagSet  // parsed, with the flags of AddFlags; may be nil
	// NoSecretFiles leaves the files that hold secrets unread, as on a machine that
	// must not have them.
	NoSecretFiles bool
}

// Lint reads one file, and neither the environment nor files that hold secrets. The
// error is of type Problems and lists the problems that Load and Validate find. A
// setting that another source may set is not reported as missing.
func Lint(path string) error {
	c, err := Load(Options{File: path, Env: func() []string { return nil }, NoSecretFiles: true})
	if err != nil {
		return err
	}
	return c.Validate()
}

// Load reads the configuration. An error is of type Problems and holds every
// problem. Load checks that each value can be parsed; Validate checks that the
// values are consistent.
//
// An empty environment variable counts as not set, except for a listen
// address, where it means off.
func Load(o Options) (Config, error) {
	if o.Env == nil {
		o.Env = os.Environ
	}
	l := &loader{flags: o.Flags, config: Defaults(), file: viper.New()}
	l.env = l.readEnv(o.Env())
	l.path = o.File
	if l.path == "" {
		l.path = l.env[FileEnv]
	}
	if l.path != "" {
		l.readFile()
		l.config.fromFile = true
	}
	for _, k := range allKeys() {
		l.set(k)
	}
	l.natsVariables(o.Env())
	if !o.NoSecretFiles {
		l.readSecretFiles()
	}
	return l.config, l.problems.asError()
}

// natsVariables takes NATS_URL and NATS_CREDS, the variables of the nats command line
// tool, if nothing of ours says where and as whom to connect.
func (l *loader) natsVariables(environ []string) {
	n := &l.config.NATS
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case value == "" || n.Context != "":
		case name == "NATS_URL" && l.config.Origin("nats.url").From == FromDefault:
			n.URL, l.config.origins["nats.url"] = value, Origin{FromEnv, name}
		case name == "NATS_CREDS" && n.Creds == "" && n.User == "" && n.Token == "" && n.TokenFile == "":
			n.Creds, l.config.origins["nats.creds"] = value, Origin{FromEnv, name}
		}
	}
}

// OwnServer returns c without what NATS_URL and NATS_CREDS say: for a process that
// starts a server of its own.
func (c Config) OwnServer() Config {
	if c.Origin("nats.url").Name == "NATS_URL" {
		c.NATS.URL = Defaults().NATS.URL
	}
	if c.Origin("nats.creds").Name == "NATS_CREDS" {
		c.NATS.Creds = ""
	}
	return c
}

// loader is one run of Load.
type loader struct {
	flags    *pflag.FlagSet
	env      map[string]string
	path     string
	file     *viper.Viper
	config   Config
	problems Problems
}

func (l *loader) problem(key, value, from, wrong, fix string) {
	l.problems = append(l.problems, problem(key, value, from, wrong, fix))
}

// readFile reads the file with viper. A file that cannot be read is one problem and
// counts as empty.
func (l *loader) readFile() {
	text := &yamlText{lines: map[string]int{}}
	v := viper.NewWithOptions(viper.WithDecoderRegistry(onlyDecoder{text}))
	v.SetConfigType("yaml")
	b, err := readBounded(l.path, maxFile)
	if err == nil {
		err = v.ReadConfig(bytes.NewReader(b))
	}
	if err != nil {
		l.problem("file "+l.path, "", "", fileError(err), "correct it, or name another with --config or "+FileEnv)
		return
	}
	l.file = v
	l.checkNames(text.lines)
}

// onlyDecoder gives viper our decoder for every format.
type onlyDecoder struct{ text *yamlText }

func (d onlyDecoder) Decoder(string) (viper.Decoder, error) { return d.text, nil }

// fileError returns the error without viper's wording and without the path, which
// the problem names.
func fileError(err error) string {
	text := strings.TrimPrefix(withoutPath(err), "While parsing config: ")
	return "cannot be read: " + strings.TrimPrefix(text, "yaml: ")
}

// checkNames adds problems for names in the file that are no setting.
func (l *loader) checkNames(lines map[string]int) {
	sections := map[string]bool{}
	for _, k := range allKeys() {
		for name := k.Name; strings.Contains(name, "."); {
			name = name[:strings.LastIndex(name, ".")]
			sections[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		where := fmt.Sprintf("%s line %d", l.path, lines[name])
		switch {
		case sections[name]:
			if v := l.file.Get(name); v != nil && reflect.TypeOf(v).Kind() != reflect.Map {
				l.problem(name, "", where, "is a section, not a setting", "put its settings inside it")
			}
		case inside(name, known):
		case inside(name, func(outer string) bool { return !sections[outer] }): // reported already
		case !known(name):
			l.problem(name, "", where, "there is no such setting", didYouMean(name, keyNames()))
		}
	}
}

func known(name string) bool {
	_, ok := keyNamed(name)
	return ok
}

// inside reports whether any outer name satisfies so, such as a setting that holds
// names of its own.
func inside(name string, so func(outer string) bool) bool {
	for i := strings.LastIndex(name, "."); i > 0; i = strings.LastIndex(name, ".") {
		name = name[:i]
		if so(name) {
			return true
		}
	}
	return false
}

// set sets the key from the first source that has a value.
func (l *loader) set(k Key) {
	value, origin := l.find(k)
	if origin.From == FromDefault {
		return
	}
	parsed, err := k.kind.fromFile(value)
	if err != nil {
		l.problem(k.Name, shown(k, value), origin.String(), err.Error(), "")
		return
	}
	k.field(&l.config).Set(reflect.ValueOf(parsed))
	l.config.origins[k.Name] = origin
}

// find returns the value from the flags, the environment or the file.
func (l *loader) find(k Key) (any, Origin) {
	if k.Flag != "" && l.flags != nil && l.flags.Changed(k.Flag) {
		return l.flags.Lookup(k.Flag).Value.String(), Origin{FromFlag, "--" + k.Flag}
	}
	if text, ok := l.env[k.Env]; ok && (text != "" || k.kind == listenKind) {
		return text, Origin{FromEnv, k.Env}
	}
	// If the default is computed at start, an empty text means the default: that is
	// what WriteYAML prints.
	if v := l.inFile(k); v != nil && !(k.Shown != "" && v == "") {
		return v, Origin{FromFile, l.path}
	}
	return nil, Origin{From: FromDefault}
}

// inFile returns the value of a key in the file, nil if there is none.
func (l *loader) inFile(k Key) any { return l.file.Get(k.Name) }

// shown returns a value for a message, never a secret.
func shown(k Key, value any) string {
	text, ok := value.(string)
	if !ok || k.Secret {
		return ""
	}
	if k.kind == fieldsKind || k.kind == matchKind {
		return text // an @ is a part of a JSONPath
	}
	return hideUserinfo(text)
}

// readBounded reads a file that must not be larger than limit.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("it has more than %d bytes", limit)
	}
	return b, nil
}
