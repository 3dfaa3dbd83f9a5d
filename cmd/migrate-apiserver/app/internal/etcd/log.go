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

// verbose is the verbosity from which etcd logs at level info.
const verbose = 4

// zapLogger returns a logger for etcd that writes to klog. While stopping is set it does not log
// errors as such, because etcd reports the close of each listener as one.
func zapLogger(logger klog.Logger, stopping *atomic.Bool) *zap.Logger {
	return zap.New(core{logger: logger, stopping: stopping})
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
