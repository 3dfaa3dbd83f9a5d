// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"errors"
	"maps"
	"os"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// verbose is the verbosity from which etcd logs at level info.
const verbose = 4

// zapLogger returns a logger for etcd that writes to klog. While stopping is set it does not log
// errors as such, because etcd reports the close of each listener as one.
func zapLogger(logger klog.Logger, stopping *atomic.Bool) *zap.Logger {
	return zap.New(core{logger: logger, stopping: stopping}, zap.WithFatalHook(exit{logger}))
}

// exit ends the process, because etcd can't go on. It says so if that is because the disk is full.
type exit struct{ logger klog.Logger }

// OnWrite is called after the entry was written.
func (e exit) OnWrite(_ *zapcore.CheckedEntry, fields []zapcore.Field) {
	for _, field := range fields {
		if err, ok := field.Interface.(error); ok && (errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)) {
			e.logger.Error(err, "The disk of the data directory is full, so the server ends: free space there, or enlarge the volume, and start it again. What was acknowledged is not lost")
		}
	}
	klog.Flush()
	os.Exit(1)
}

// core is a zapcore.Core that writes to a klog logger.
type core struct {
	logger   klog.Logger
	stopping *atomic.Bool
	fields   []zapcore.Field
}

var _ zapcore.Core = core{}

// Enabled reports whether a level is logged.
func (c core) Enabled(level zapcore.Level) bool {
	switch {
	case level < zapcore.InfoLevel:
		return false
	case level == zapcore.InfoLevel || c.stopping.Load():
		return c.logger.V(verbose).Enabled()
	}
	return true
}

// With returns a core that adds fields to each entry.
func (c core) With(fields []zapcore.Field) zapcore.Core {
	c.fields = append(slices.Clip(c.fields), fields...)
	return c
}

// Check adds the core to an entry that is logged.
func (c core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write logs an entry.
func (c core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	encoded := zapcore.NewMapObjectEncoder()
	for _, field := range append(slices.Clip(c.fields), fields...) {
		field.AddTo(encoded)
	}
	var values []any
	for _, key := range slices.Sorted(maps.Keys(encoded.Fields)) {
		values = append(values, key, encoded.Fields[key])
	}
	switch {
	case entry.Level == zapcore.InfoLevel || c.stopping.Load():
		c.logger.V(verbose).Info(entry.Message, values...)
	case entry.Level == zapcore.WarnLevel:
		c.logger.Info(entry.Message, values...)
	default:
		c.logger.Error(nil, entry.Message, values...)
	}
	return nil
}

// Sync does nothing: klog flushes itself.
func (c core) Sync() error { return nil }
