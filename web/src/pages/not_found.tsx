import { Button } from "@mantine/core";
import { Link } from "wouter";
import { Empty, Heading } from "../parts/states";
import { texts } from "../texts";

export function NotFound() {
  return (
    <>
      <Heading title={texts.problem.notFound} />
      <Empty title={texts.problem.notFoundText}>
        <Button component={Link} href="/" variant="light">
          {texts.problem.toStudies}
        </Button>
      </Empty>
    </>
  );
}
