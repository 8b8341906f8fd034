package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// What a stack keeps in its data folder. The lock is held while a stack runs;
// that it is there tells that the folder is one of ours.
const (
	lockFile    = "tenantry.lock"
	infoFile    = "stack.json"
	logDir      = "logs"
	mailDir     = "mail"
	dynaliteDir = "dynalite" // the engine's
)

// openData takes the data folder for this stack, and removes what an earlier
// one left in it.
func (s *Stack) openData() error {
	dir := s.options.Data
	if err := checkOurs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := s.lock(filepath.Join(dir, lockFile)); err != nil {
		return err
	}
	for _, name := range []string{infoFile, logDir, mailDir, dynaliteDir} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("empty the data folder: %w", err)
		}
	}
	for _, name := range []string{logDir, mailDir} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o750); err != nil {
			return fmt.Errorf("make the data folder: %w", err)
		}
	}
	log, err := s.openLog("local")
	if err != nil {
		return err
	}
	s.log = slog.New(slog.NewTextHandler(log, nil))
	return nil
}

// checkOurs fails if dir holds something and is not the data folder of a stack.
func checkOurs(dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the data folder: %w", err)
	}
	if len(files) == 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, lockFile)); err != nil {
		return fmt.Errorf("the folder %s holds something else: choose an empty one, or one that is not there, with DATA", dir)
	}
	return nil
}

// lock takes the lock in path, which ends with this process if not before.
func (s *Stack) lock(path string) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock the data folder: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		pid, _ := os.ReadFile(filepath.Clean(path))
		return errors.Join(fmt.Errorf("the data folder %s is in use by process %s: stop that, or choose another with DATA",
			filepath.Dir(path), strings.TrimSpace(string(pid))), f.Close())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("lock the data folder: %w", err), f.Close())
	}
	s.closers = append(s.closers, f.Close)
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("lock the data folder: %w", err)
	}
	if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
		return fmt.Errorf("lock the data folder: %w", err)
	}
	return nil
}

// logPath returns the file of the log of that name.
func (s *Stack) logPath(name string) string {
	return filepath.Join(s.options.Data, logDir, name+".log")
}

// openLog opens the log of that name until the stack is closed.
func (s *Stack) openLog(name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Clean(s.logPath(name)), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	s.closers = append(s.closers, f.Close)
	return f, nil
}

// writeInfo writes stack.json, complete or not at all, and removes it when the
// stack is closed.
func (s *Stack) writeInfo() error {
	data, err := json.MarshalIndent(s.info, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", infoFile, err)
	}
	path := filepath.Join(s.options.Data, infoFile)
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", infoFile, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", infoFile, err)
	}
	s.closers = append(s.closers, func() error { return os.Remove(path) })
	return nil
}
