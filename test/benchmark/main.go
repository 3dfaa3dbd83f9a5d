// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"kurator.dev/migrate-apiserver/test/benchmark/report"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	pollInterval = 50 * time.Millisecond
	// members is the number of members: a source and three targets.
	members = 4
)

// options are those of all groups.
type options struct {
	bin, out       string
	stripped       string
	keep           bool
	profiles       string
	groups         []string
	counts         []int
	objects        []int
	pending        int
	atOnce         int
	modelledAtOnce int
	rounds         int
	batchTime      time.Duration
	began          time.Time
}

// groups are measured in this order.
var groups = []string{"freshness", "migrations", "crowd", "api", "pending", "preview"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := options{began: time.Now()}
	pflag.StringVar(&o.bin, "bin", "_output/bin", "directory of the programs that make tools build makes")
	pflag.StringVar(&o.out, "out", "", "path of the results, without the .md or .json that is appended; without it the tables are printed")
	pflag.BoolVar(&o.keep, "keep", false, "keep the tables that are in --out and are not measured now")
	pflag.StringVar(&o.stripped, "stripped", "", "path of the program without symbols, the only file of the image, whose size is reported")
	pflag.StringVar(&o.profiles, "profiles", "", "directory for CPU profiles of our server, one of each row, side and round; without it there are none")
	pflag.StringSliceVar(&o.groups, "groups", groups, "what is measured")
	pflag.IntSliceVar(&o.counts, "migrates", []int{100, 2000, 10000}, "numbers of stored Migrates with which requests are measured")
	pflag.IntSliceVar(&o.objects, "objects", []int{10, 1000, 10000}, "numbers of objects that are migrated; once, if they are more than 1,000")
	pflag.IntVar(&o.pending, "pending", 10000, "number of Migrates that wait")
	pflag.IntVar(&o.atOnce, "at-once", 100, "number of migrations at once between real Veleros")
	pflag.IntVar(&o.modelledAtOnce, "modelled-at-once", 1000, "number of migrations at once between a hundred modelled Veleros")
	pflag.IntVar(&o.rounds, "rounds", 5, "rounds of each measurement, in which the sides take turns")
	pflag.DurationVar(&o.batchTime, "batch", time.Second, "time for which a request is repeated in each round")
	pflag.Parse()
	for _, group := range o.groups {
		if !slices.Contains(groups, group) {
			return fmt.Errorf("there is no group %q; the groups are %s", group, strings.Join(groups, ", "))
		}
	}
	r, earlier := &report.Report{About: about(o.bin)}, &report.Report{}
	if o.keep {
		content, err := os.ReadFile(o.out + ".json")
		if err == nil {
			err = json.Unmarshal(content, earlier)
		}
		if err != nil {
			return fmt.Errorf("--keep: %w", err)
		}
	}
	err := o.measure(ctx, r)
	r.Keep(earlier)
	// What was measured before a failure is not lost.
	return errors.Join(err, o.write(r))
}

// measure starts a fleet, measures, and takes the fleet down.
func (o *options) measure(ctx context.Context, r *report.Report) (err error) {
	fleet, err := localfleet.Up(ctx, localfleet.Options{BinDir: o.bin, Server: localfleet.ServerProgram(o.bin), Members: members, Attached: true, Progress: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.Down(context.WithoutCancel(ctx))) }()
	sides, err := startSides(ctx, fleet)
	if err != nil {
		return err
	}
	if slices.Contains(o.groups, "freshness") {
		if err := o.freshness(ctx, fleet, r); err != nil {
			return err
		}
	}
	if slices.Contains(o.groups, "migrations") {
		if err := o.migrations(ctx, fleet, sides[1], r); err != nil {
			return err
		}
	}
	if slices.Contains(o.groups, "crowd") {
		if err := o.crowd(ctx, fleet, sides, r); err != nil {
			return err
		}
	}
	if slices.Contains(o.groups, "api") {
		example, err := migrated(ctx, fleet)
		if err != nil {
			return err
		}
		if err := (&apiBenchmark{options: o, fleet: fleet, sides: sides, example: example}).run(ctx, r, o.counts); err != nil {
			return err
		}
	}
	if slices.Contains(o.groups, "pending") {
		if err := (&apiBenchmark{options: o, fleet: fleet, sides: sides}).waiting(ctx, r); err != nil {
			return err
		}
	}
	if slices.Contains(o.groups, "preview") {
		return o.previews(ctx, fleet, r)
	}
	return nil
}

// log prints what is measured now.
func (o *options) log(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(o.began).Seconds(), fmt.Sprintf(format, args...))
}

// write writes the report.
func (o *options) write(r *report.Report) error {
	if o.out == "" {
		return r.Markdown(os.Stdout)
	}
	for suffix, write := range map[string]func(*os.File) error{
		".md":   func(f *os.File) error { return r.Markdown(f) },
		".json": func(f *os.File) error { return r.JSON(f) },
	} {
		file, err := os.Create(o.out + suffix)
		if err != nil {
			return err
		}
		if err := errors.Join(write(file), file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// about describes this machine, the programs that are measured, and this run.
func about(bin string) []report.Fact {
	versions := []string{runtime.Version()}
	for program, module := range map[string]string{
		"kube-apiserver": "k8s.io/kubernetes", "etcd": "go.etcd.io/etcd/server/v3", "velero": "github.com/vmware-tanzu/velero",
	} {
		versions = append(versions, program+" "+builtOf(filepath.Join(bin, program), module))
	}
	slices.Sort(versions)
	facts := []report.Fact{
		{Name: "Date", Value: time.Now().UTC().Format(time.DateOnly)},
		{Name: "Machine", Value: fmt.Sprintf("%d CPUs (%s), %s, %s/%s", runtime.NumCPU(), processor(), memorySize(), runtime.GOOS, runtime.GOARCH)},
		{Name: "Command", Value: "`" + strings.Join(append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...), " ") + "`"},
		{Name: "Versions", Value: strings.Join(versions, ", ")},
	}
	if commit, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		facts = append(facts, report.Fact{Name: "Commit", Value: strings.TrimSpace(string(commit))})
	}
	return facts
}

// builtOf returns the version of a module that a program was built of.
func builtOf(program, module string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "unknown"
	}
	for _, of := range append(info.Deps, &info.Main) {
		if of.Path == module {
			return of.Version
		}
	}
	return "unknown"
}

func processor() string { return procLine("/proc/cpuinfo", "model name") }

func memorySize() string { return procLine("/proc/meminfo", "MemTotal") + " of memory" }

// procLine returns the value of a line of a file of Linux.
func procLine(path, name string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(content)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
