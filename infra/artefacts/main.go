// Command artefacts looks at what sam build has made: that each function of the
// template is there, as an executable that Lambda can run where the stage has it run.
package main

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v4"
)

// maxBytes is how large Lambda lets a function be, unpacked.
const maxBytes = 250 << 20

// machines is how executables name the architectures of Lambda.
var machines = map[string]elf.Machine{"arm64": elf.EM_AARCH64, "x86_64": elf.EM_X86_64}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "Usage: artefacts <folder that sam build has made> <samconfig.toml> <stage>")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "artefacts:", err)
		os.Exit(1)
	}
}

// A function is what was built of one.
type function struct {
	name  string
	bytes int64
}

// run tells out about the functions in dir, or fails with all that is wrong.
func run(dir, config, stage string, out io.Writer) error {
	built, err := read(dir)
	if err != nil {
		return err
	}
	architecture, err := declared(config, stage)
	if err != nil {
		return err
	}
	architecture = cmp.Or(architecture, built.Parameters.Architecture.Default)
	if machines[architecture] == elf.EM_NONE {
		return fmt.Errorf("the architecture of the stage %s is %q", stage, architecture)
	}
	var functions []function
	var errs []error
	var total int64
	for name, path := range built.executables(dir) {
		bytes, err := inspect(path, machines[architecture])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		functions = append(functions, function{name, bytes})
		total += bytes
	}
	if len(functions) == 0 {
		errs = append(errs, errors.New("the template has no functions"))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	slices.SortFunc(functions, func(a, b function) int { return cmp.Compare(a.bytes, b.bytes) })
	least, most := functions[0], functions[len(functions)-1]
	_, err = fmt.Fprintf(out, "%d functions for %s, from %.1f MB (%s) to %.1f MB (%s), %.0f MB in all\n",
		len(functions), architecture, mb(least.bytes), least.name, mb(most.bytes), most.name, mb(total))
	return err
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

// declared returns the Architecture that sam deploy gives the template for a stage, or
// "": what is the command's own goes before what is global.
func declared(config, stage string) (string, error) {
	type section struct {
		Parameters struct {
			Overrides []string `toml:"parameter_overrides"`
		} `toml:"parameters"`
	}
	var sections map[string]toml.Primitive // the stages, and the version of the form
	meta, err := toml.DecodeFile(config, &sections)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", config, err)
	}
	if !meta.IsDefined(stage) {
		return "", fmt.Errorf("%s has no stage %s", config, stage)
	}
	var found struct{ Deploy, Global section }
	if err := meta.PrimitiveDecode(sections[stage], &found); err != nil {
		return "", fmt.Errorf("read the stage %s of %s: %w", stage, config, err)
	}
	overrides := found.Deploy.Parameters.Overrides
	if overrides == nil {
		overrides = found.Global.Parameters.Overrides
	}
	architecture := ""
	for _, o := range overrides {
		name, v, _ := strings.Cut(o, "=")
		if isCut(v) {
			return "", fmt.Errorf(`%s: the stage %s: SAM cuts %s at its first blank or quote: write '%s="…"', with a \ before each quote within`, config, stage, name, name)
		}
		if name == "Architecture" {
			architecture = v
		}
	}
	return architecture, nil
}

// isCut says whether SAM takes only a part of a parameter's value, as it does of one
// with blanks or quotes that is not in quotes itself.
func isCut(v string) bool {
	if len(v) > 1 && v[0] == v[len(v)-1] && strings.ContainsRune(`"'`, rune(v[0])) {
		return false
	}
	return strings.ContainsAny(v, " \"'")
}

// A template is the part that matters here of one that sam build has made.
type template struct {
	Parameters struct {
		Architecture struct {
			Default string `yaml:"Default"`
		} `yaml:"Architecture"`
	} `yaml:"Parameters"`
	Resources map[string]struct {
		Type       string `yaml:"Type"`
		Properties struct {
			CodeURI string `yaml:"CodeUri"`
		} `yaml:"Properties"`
	} `yaml:"Resources"`
}

// read returns the template in dir.
func read(dir string) (template, error) {
	var t template
	text, err := os.ReadFile(filepath.Join(dir, "template.yaml")) //nolint:gosec // the folder is the caller's choice
	if err != nil {
		return t, err
	}
	return t, yaml.Unmarshal(text, &t)
}

// executables returns where the template, which is in dir, has the executable of each
// function.
func (t template) executables(dir string) map[string]string {
	paths := map[string]string{}
	for name, r := range t.Resources {
		if r.Type == "AWS::Serverless::Function" {
			paths[name] = filepath.Join(dir, r.Properties.CodeURI, "bootstrap")
		}
	}
	return paths
}

// inspect returns the size of an executable that the runtime provided.al2023 can
// run on machine as it is.
func inspect(path string, machine elf.Machine) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if info.Mode()&0o111 == 0 {
		return 0, errors.New("it is not executable")
	}
	if info.Size() > maxBytes {
		return 0, fmt.Errorf("it has %d bytes, and Lambda takes %d", info.Size(), maxBytes)
	}
	f, err := elf.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	if f.Machine != machine {
		return 0, fmt.Errorf("it is for %s", f.Machine)
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return 0, errors.New("it needs libraries that are not there")
	}
	return info.Size(), nil
}
