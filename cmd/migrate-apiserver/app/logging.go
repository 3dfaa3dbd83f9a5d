// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
)

// setUpLogging applies the options and keeps the bodies of requests and responses out of the log.
// From -v=8 on client-go logs them completely, including Secrets and the tokens in TokenReviews.
func setUpLogging(o *logs.Options) error {
	if err := logsapi.ValidateAndApply(o, nil); err != nil {
		return err
	}
	sink := klog.Background().GetSink()
	options := []klog.LoggerOption{klog.ContextualLogger(true)}
	if text, ok := sink.(textlogger.KlogBufferWriter); ok {
		options = append(options, klog.WriteKlogBuffer(text.WriteKlogBuffer))
	}
	klog.SetLoggerWithOptions(logr.New(bodySink{sink}), options...)
	return nil
}

// withoutBodies returns the key-value pairs of a log line with each body replaced by its length.
func withoutBodies(keysAndValues []any) []any {
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		if body, ok := keysAndValues[i+1].(string); ok && keysAndValues[i] == "body" {
			keysAndValues = slices.Clone(keysAndValues)
			keysAndValues[i+1] = fmt.Sprintf("(%d bytes)", len(body))
		}
	}
	return keysAndValues
}

// bodySink is a log sink that drops bodies.
type bodySink struct{ logr.LogSink }

// Init adds one call to the depth, so that log lines have the location of their caller.
func (s bodySink) Init(info logr.RuntimeInfo) {
	info.CallDepth++
	s.LogSink.Init(info)
}

func (s bodySink) Info(level int, msg string, keysAndValues ...any) {
	s.LogSink.Info(level, msg, withoutBodies(keysAndValues)...)
}

func (s bodySink) Error(err error, msg string, keysAndValues ...any) {
	s.LogSink.Error(err, msg, withoutBodies(keysAndValues)...)
}

func (s bodySink) WithValues(keysAndValues ...any) logr.LogSink {
	return bodySink{s.LogSink.WithValues(withoutBodies(keysAndValues)...)}
}

func (s bodySink) WithName(name string) logr.LogSink { return bodySink{s.LogSink.WithName(name)} }

func (s bodySink) WithCallDepth(depth int) logr.LogSink {
	if sink, ok := s.LogSink.(logr.CallDepthLogSink); ok {
		return bodySink{sink.WithCallDepth(depth)}
	}
	return s
}
