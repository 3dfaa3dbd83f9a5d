// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"maps"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// verbose is the verbosity at which etcd tells what it does.
const verbose = 4

// zapLogger has etcd log as all of the process does. While it stops, etcd calls
// every listener that closes an error; those are not worth more than the rest.
func zapLogger(logger klog.Logger, stopping *atomic.Bool) *zap.Logger {
	return zap.New(core{logger: logger, stopping: stopping})
}

// core writes to a klog logger.
type core struct {
	logger   klog.Logger
	stopping *atomic.Bool
	fields   []zapcore.Field
}

var _ zapcore.Core = core{}

// Enabled says whether a level is logged at all.
func (c core) Enabled(level zapcore.Level) bool {
	switch {
	case level < zapcore.InfoLevel:
		return false
	case level == zapcore.InfoLevel || c.stopping.Load():
		return c.logger.V(verbose).Enabled()
	}
	return true
}

// With adds fields to all that follows.
func (c core) With(fields []zapcore.Field) zapcore.Core {
	c.fields = append(slices.Clip(c.fields), fields...)
	return c
}

// Check lets an entry that is logged through.
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

// Sync has nothing to do: klog flushes itself.
func (c core) Sync() error { return nil }
