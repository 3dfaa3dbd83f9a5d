// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
)

// amounts are the fields whose values are amounts (resource.Quantity), and listsOfAmounts those that have amounts by
// their names, in lower case: encoding/json ignores the case of a field.
var (
	amounts        = sets.New("sizelimit", "divisor")
	listsOfAmounts = sets.New("requests", "limits", "overhead", "allocatedresources", "capacity", "hard", "used", "max", "min",
		"default", "defaultrequest", "maxlimitrequestratio")
)

// suspicious matches JSON that may have an amount that is too large: a long number, a large exponent, or an escape that
// may hide one.
var (
	suspicious = regexp.MustCompile(`[0-9.]{33}|[eE][+-]?[0-9]{3}|\\u`)
	tooLarge   = regexp.MustCompile(`^[+-]?[0-9.]{33}|[eE][+-]?[0-9]{3}`)
)

// CheckAmounts returns an error if JSON has an amount of so many digits, or such an exponent, that decoding it or
// adding it to another one would take a time and a memory without a bound: 1e30000000 is a resource.Quantity.
func CheckAmounts(text []byte) error {
	if !suspicious.Match(text) {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return checkValue(decoder, "", "")
}

// checkValue reads a value, that of field in an object that is the value of parent. What is no JSON is left to who
// decodes it.
func checkValue(d *json.Decoder, parent, field string) error {
	token, err := d.Token()
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	switch value := token.(type) {
	case json.Delim:
		for d.More() {
			inner := field // that of an array
			if value == '{' {
				name, err := d.Token()
				if err != nil {
					return nil //nolint:nilerr // see above
				}
				inner, _ = name.(string)
				if err := checkValue(d, field, strings.ToLower(inner)); err != nil {
					return err
				}
				continue
			}
			if err := checkValue(d, parent, inner); err != nil {
				return err
			}
		}
		_, _ = d.Token()
	case string:
		return checkAmount(value, parent, field)
	case json.Number:
		return checkAmount(value.String(), parent, field)
	}
	return nil
}

func checkAmount(value, parent, field string) error {
	if (amounts.Has(field) || listsOfAmounts.Has(parent)) && tooLarge.MatchString(value) {
		return Exceeded(Answer, "an amount in it has more digits than Kubernetes allows")
	}
	return nil
}
