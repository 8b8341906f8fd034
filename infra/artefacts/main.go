// Command artefacts looks at what sam build has made: that each function of the
// template is there, as an executable that Lambda can run.
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

	"go.yaml.in/yaml/v4"
)

// maxBytes is how large Lambda lets a function be, unpacked.
const maxBytes = 250 << 20

// machines is how executables name the architectures of Lambda.
var machines = map[string]elf.Machine{"arm64": elf.EM_AARCH64, "x86_64": elf.EM_X86_64}

func main() {
	if len(os.Args) != 3 || machines[os.Args[2]] == elf.EM_NONE {
		fmt.Fprintln(os.Stderr, "Usage: artefacts <folder that sam build has made> arm64|x86_64")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Stdout); err != nil {
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
func run(dir, architecture string, out io.Writer) error {
	paths, err := executables(dir)
	if err != nil {
		return err
	}
	var functions []function
	var errs []error
	var total int64
	for name, path := range paths {
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

// executables returns where the template in dir has the executable of each
// function.
func executables(dir string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "template.yaml")) //nolint:gosec // the folder is the caller's choice
	if err != nil {
		return nil, err
	}
	var template struct {
		Resources map[string]struct {
			Type       string `yaml:"Type"`
			Properties struct {
				CodeURI string `yaml:"CodeUri"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for name, r := range template.Resources {
		if r.Type == "AWS::Serverless::Function" {
			paths[name] = filepath.Join(dir, r.Properties.CodeURI, "bootstrap")
		}
	}
	return paths, nil
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
