package main

import (
	"archive/zip"
	"compress/flate"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// build builds programs as those are that are deployed, into dir.
func build(dir, architecture string, packages ...string) error {
	args := append([]string{"build", "-tags=lambda.norpc", "-trimpath", "-ldflags=-s", "-o", dir + "/"}, packages...)
	cmd := exec.Command("go", args...) //nolint:gosec // our own arguments
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %v: %w\n%s", packages, err, out)
	}
	return nil
}

// duplicate copies a program, so that it has pages of its own, and they are on the
// disk.
func duplicate(from, to string) (string, error) {
	text, err := os.ReadFile(from) //nolint:gosec // built for this
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o700) //nolint:gosec // an executable
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it is closed below, if all is well
	if _, err := f.Write(text); err != nil {
		return "", err
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	return to, f.Close()
}

// The functions that may be larger: drivers of other databases are in them.
var large = map[string]bool{"health-probe": true, "provisioning-mongodb": true, "deprovisioning-mongodb": true}

// zipped returns the rows of how large the functions are as they are deployed: the
// largest that has no client but DynamoDB's, and the largest of the others.
func zipped(dir string) ([]row, error) {
	const dynamoOnly, others = 3.1, 3.4
	folder := filepath.Join(dir, "arm64")
	if err := build(folder, "arm64", "./functions/..."); err != nil {
		return nil, err
	}
	clients, err := clients()
	if err != nil {
		return nil, err
	}
	var most [2]float64
	var name [2]string
	for function, services := range clients {
		if large[function] {
			continue
		}
		size, err := zippedSize(filepath.Join(folder, function))
		if err != nil {
			return nil, err
		}
		i := 0
		if services != "dynamodb" {
			i = 1
		}
		if mb := float64(size) / 1e6; mb > most[i] {
			most[i], name[i] = mb, function
		}
	}
	return []row{
		{"3", "zip, DynamoDB only: " + name[0], fmt.Sprintf("%.2f MB", most[0]), fmt.Sprintf("≤ %.1f MB", dynamoOnly), within(most[0], dynamoOnly)},
		{"3", "zip, others: " + name[1], fmt.Sprintf("%.2f MB", most[1]), fmt.Sprintf("≤ %.1f MB", others), within(most[1], others)},
	}, nil
}

// clients returns the services of AWS that each function links a client of.
func clients() (map[string]string, error) {
	out, err := exec.Command("go", "list", "-tags=lambda.norpc", "-f", `{{.ImportPath}} {{join .Deps " "}}`, "./functions/...").Output()
	if err != nil {
		return nil, fmt.Errorf("list what functions link: %w", err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(out)) {
		linked := strings.Fields(line)
		var services []string
		for _, path := range linked[1:] {
			if _, name, ok := strings.Cut(path, "aws-sdk-go-v2/service/"); ok && !strings.Contains(name, "/") {
				services = append(services, name)
			}
		}
		all[filepath.Base(linked[0])] = strings.Join(services, " ")
	}
	return all, nil
}

// zippedSize returns the size of a program as SAM zips it.
func zippedSize(name string) (int64, error) {
	f, err := os.Open(name) //nolint:gosec // built for this
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	var size counter
	z := zip.NewWriter(&size)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.DefaultCompression) })
	w, err := z.Create("bootstrap")
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(w, f); err != nil {
		return 0, err
	}
	err = z.Close()
	return int64(size), err
}

// A counter counts what is written to it.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
