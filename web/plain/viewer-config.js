// How the viewer (OHIF) reaches the archive that serves it: same origin, the browser's session, nothing else.
window.config = {
  name: "fiducial",
  routerBasename: "/ohif",
  extensions: [],
  modes: [],
  customizationService: [{ "ohif.tours": { $set: [] } }],
  showStudyList: false, // the archive's own list is at /
  showWarningMessageForCrossOrigin: true,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  investigationalUseDialog: { option: "always" },
  maxNumberOfWebWorkers: 3,
  maxNumRequests: { interaction: 6, thumbnail: 2, prefetch: 4 },
  defaultDataSourceName: "fiducial",
  dataSources: [
    {
      namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
      sourceName: "fiducial",
      configuration: {
        friendlyName: "Fiducial",
        name: "fiducial",
        qidoRoot: location.origin,
        wadoRoot: location.origin,
        wadoUriRoot: location.origin + "/wado",
        qidoSupportsIncludeField: true,
        supportsFuzzyMatching: true,
        supportsWildcard: true,
        supportsReject: false,
        imageRendering: "wadors",
        thumbnailRendering: "wadors",
        enableStudyLazyLoad: true,
        dicomUploadEnabled: false,
        bulkDataURI: { enabled: true, relativeResolution: "series" },
        omitQuotationForMultipartRequest: false,
      },
    },
  ],
  httpErrorHandler: (error) => {
    if (error.status === 401) location.replace("/login?then=" + encodeURIComponent(location.pathname + location.search));
  },
};
