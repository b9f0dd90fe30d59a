import { lazy, Suspense } from "react";
import { Redirect, Route, Switch } from "wouter";
import { NotFound } from "./pages/not_found";
import { LogIn } from "./pages/log_in";
import { StudiesPage } from "./pages/studies";
import { StudyPage } from "./pages/study";
import { Loading } from "./parts/states";
import { onlyWatches, useSession } from "./session";
import { Shell } from "./shell";

const UploadPage = lazy(() => import("./pages/upload"));
const WorklistPage = lazy(() => import("./pages/worklist"));
const PeersPage = lazy(() => import("./pages/peers"));
const HealthPage = lazy(() => import("./pages/health"));
const RegisterPage = lazy(() => import("./pages/register"));
const ResetPage = lazy(() => import("./pages/reset"));
const LinkPage = lazy(() => import("./pages/link"));
const AccountPage = lazy(() => import("./pages/account"));
const InboxPage = lazy(() => import("./pages/inbox"));
const PeoplePage = lazy(() => import("./pages/people"));
const TracePage = lazy(() => import("./pages/trace"));
const QueuesPage = lazy(() => import("./pages/queues"));
const LedgerPage = lazy(() => import("./pages/ledger"));

function Home() {
  return onlyWatches(useSession()) ? <Redirect to="/app/trace" replace /> : <StudiesPage />;
}

export function App() {
  return (
    <Switch>
      <Route path="/login">
        <LogIn />
      </Route>
      <Route path="/app/register">
        <Suspense fallback={<Loading />}>
          <RegisterPage />
        </Suspense>
      </Route>
      <Route path="/app/reset">
        <Suspense fallback={<Loading />}>
          <ResetPage />
        </Suspense>
      </Route>
      <Route path="/app/link">
        <Suspense fallback={<Loading />}>
          <LinkPage />
        </Suspense>
      </Route>
      <Route>
        <Shell>
          <Suspense fallback={<Loading />}>
            <Switch>
              <Route path="/" component={Home} />
              <Route path="/app/studies/:study">{({ study }) => <StudyPage study={study} />}</Route>
              <Route path="/app/studies">
                <Redirect to="/" />
              </Route>
              <Route path="/app/upload" component={UploadPage} />
              <Route path="/app/worklist" component={WorklistPage} />
              <Route path="/app/peers" component={PeersPage} />
              <Route path="/app/health" component={HealthPage} />
              <Route path="/app/account" component={AccountPage} />
              <Route path="/app/inbox" component={InboxPage} />
              <Route path="/app/people" component={PeoplePage} />
              <Route path="/app/trace" component={TracePage} />
              <Route path="/app/queues" component={QueuesPage} />
              <Route path="/app/ledger" component={LedgerPage} />
              <Route component={NotFound} />
            </Switch>
          </Suspense>
        </Shell>
      </Route>
    </Switch>
  );
}
