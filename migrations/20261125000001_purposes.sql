-- What a request is sent for is its purpose. A role is what a trial has.

ALTER TABLE requests RENAME COLUMN role TO purpose;
ALTER TABLE requests RENAME CONSTRAINT requests_role_check TO requests_purpose_check;
ALTER TABLE responses RENAME COLUMN role TO purpose;
ALTER TABLE adopted_responses RENAME COLUMN source_role TO source_purpose;
