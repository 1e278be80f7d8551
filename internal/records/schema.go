package records

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed schema.sql
var schemaOne string

//go:embed schema_2.sql
var schemaTwo string

//go:embed schema_3.sql
var schemaThree string

// versions keeps which migrations a database has had.
const versions = "records_version"

// migrations lists the changes of the tables, oldest first. A released migration is
// never changed; new ones are added.
func (s *Store) migrations() []*goose.Migration {
	step := func(version int64, text string) *goose.Migration {
		return goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, s.d.schema(text))
			return err
		}}, nil)
	}
	return []*goose.Migration{step(1, schemaOne), step(2, schemaTwo), step(3, schemaThree)}
}

func (s *Store) migrator(db *sql.DB) (*goose.Provider, error) {
	options := []goose.ProviderOption{
		goose.WithGoMigrations(s.migrations()...), goose.WithTableName(versions),
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(s.o.Log),
	}
	if !s.d.postgres {
		return goose.NewProvider(goose.DialectSQLite3, db, nil, options...)
	}
	// Two processes may start at the same time.
	one, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, nil, append(options, goose.WithSessionLocker(one))...)
}

func (s *Store) migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	m, err := s.migrator(s.w)
	if err != nil {
		return err
	}
	if _, err := m.Up(ctx); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := s.exec(ctx, tx, "INSERT INTO store (only_row, id, epoch) VALUES (1, ?, 0) ON CONFLICT (only_row) DO NOTHING", rand.Text())
		return err
	})
}

// checkSchema checks the version of the tables without changing them.
func (s *Store) checkSchema(ctx context.Context) error {
	var version int64
	err := s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return s.row(ctx, tx, "SELECT COALESCE(MAX(version_id), 0) FROM "+versions).Scan(&version)
	})
	if err != nil {
		return errors.Join(ErrSchema, err)
	}
	if newest := int64(len(s.migrations())); version != newest {
		return fmt.Errorf("%w: it has version %d, this program needs %d; `capture-worker records` of this version migrates it", ErrSchema, version, newest)
	}
	return nil
}

// analyze updates the statistics of the tables (ANALYZE), from which the database
// plans its queries.
func (s *Store) analyze(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	text := "PRAGMA optimize"
	if s.d.postgres {
		text = "ANALYZE"
	}
	if _, err := s.w.ExecContext(ctx, text); err != nil {
		return fmt.Errorf("analyzing the records in %s: %w", s.d.where, err)
	}
	return nil
}
